"""A PulseAudio daemon of a test's own, with null sinks as sound cards.

PortAudio looks for devices once, when ``sounddevice`` is imported, so what uses it runs in a child process
with :meth:`PulseServer.env`. Debian packages: pulseaudio pulseaudio-utils libportaudio2 libasound2-plugins.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.support.system import missing, require

RATE = 48000
_START_TIMEOUT_S = 15.0


class PulseServer:
    """A daemon of its own: own runtime directory, own socket, null sinks named ``sinks``.

    The monitor of a sink is the source ``<sink>.monitor``. Works as root and without D-Bus.
    """

    def __init__(self, *sinks: str) -> None:
        self.sinks = sinks
        self._directory: Path | None = None
        self._daemon: subprocess.Popen[bytes] | None = None
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> PulseServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def directory(self) -> Path:
        """The daemon's own folder."""
        if self._directory is None:
            raise RuntimeError("the daemon is not running")
        return self._directory

    @property
    def pid(self) -> int:
        """Process of the daemon."""
        if self._daemon is None:
            raise RuntimeError("the daemon is not running")
        return self._daemon.pid

    def env(self, *, sink: str | None = None, source: str | None = None) -> dict[str, str]:
        """Environment of a child process whose default devices are ``sink`` and ``source``."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("PULSE_", "ALSA_"))}
        env |= {
            "PULSE_SERVER": f"unix:{self.directory / 'native'}",
            "XDG_RUNTIME_DIR": str(self.directory),
            "HOME": str(self.directory),
            "PULSE_COOKIE": str(self.directory / "cookie"),
        }
        if sink is not None:
            env["PULSE_SINK"] = sink
        if source is not None:
            env["PULSE_SOURCE"] = source
        return env

    def start(self) -> None:
        """Start the daemon and keep its sinks busy: a null sink that falls asleep takes seconds to wake."""
        require("pulseaudio", "pactl", "parec", "pacat")
        # A socket's path must be short, which a test's own temporary folder is not.
        self._directory = Path(tempfile.mkdtemp(prefix="pulse-"))
        self._launch()

    def kill(self) -> None:
        """End the daemon at once, as if it had crashed; :meth:`revive` starts another at the same place."""
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()
            self._daemon = None

    def revive(self) -> None:
        """Start the daemon again after :meth:`kill`; programs find it where the one before was."""
        (self.directory / "native").unlink(missing_ok=True)
        self._launch()

    def _launch(self) -> None:
        arguments = ["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"]
        arguments += ["--high-priority=no", "--realtime=no", "--log-target=stderr"]
        arguments += [
            "-L",
            f"module-native-protocol-unix auth-anonymous=1 socket={self.directory / 'native'}",
        ]
        for sink in self.sinks:
            arguments += ["-L", f"module-null-sink sink_name={sink} rate={RATE} channels=2"]
        with (self.directory / "log").open("wb") as log:
            self._daemon = subprocess.Popen(
                ["pulseaudio", *arguments], env=self.env(), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self._wait_until_ready()
        for sink in self.sinks:
            self.keep_busy(sink)

    def keep_busy(self, sink: str) -> None:
        """Play silence to ``sink``, so that it never falls asleep."""
        self._spawn("pacat", "--raw", "--latency-msec=10", f"--device={sink}", "/dev/zero")

    def stop(self) -> None:
        """Stop the daemon and everything that was started with it. More than once is fine."""
        for child in [*self._children, *([self._daemon] if self._daemon else [])]:
            _end(child)
        self._children.clear()
        self._daemon = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def pactl(self, *arguments: str) -> str:
        """Run ``pactl`` against this daemon and return what it prints."""
        done = subprocess.run(
            ["pactl", *arguments], env=self.env(), capture_output=True, text=True, timeout=10, check=True
        )
        return done.stdout

    def load_sink(self, name: str) -> int:
        """Add a null sink; returns the number of its module, for :meth:`unload`."""
        return int(self.pactl("load-module", "module-null-sink", f"sink_name={name}", f"rate={RATE}"))

    def module_of(self, sink: str) -> int:
        """Number of the module that ``sink`` comes from."""
        modules = [line.split("\t") for line in self.pactl("list", "short", "modules").splitlines()]
        return next(
            int(number) for number, _, arguments, *_ in modules if f"sink_name={sink} " in f"{arguments} "
        )

    def unload(self, module: int) -> None:
        """Take a module away, as if a device were unplugged."""
        self.pactl("unload-module", str(module))

    @contextlib.contextmanager
    def recording(self, sink: str) -> Iterator[Recording]:
        """Record what ``sink`` plays, mono at 48 kHz, while the block runs."""
        path = self.directory / f"record-{sink}-{time.monotonic_ns()}.raw"
        with path.open("wb") as file:
            child = self._spawn(
                "parec",
                "--raw",
                f"--device={sink}.monitor",
                f"--rate={RATE}",
                "--channels=1",
                "--format=s16le",
                "--latency-msec=10",
                stdout=file,
            )
            recording = Recording(path)
            try:
                recording.wait_for(0.05)
                yield recording
            finally:
                _end(child)
                recording.finish()

    @contextlib.contextmanager
    def playing(self, sink: str, samples: npt.NDArray[np.int16]) -> Iterator[None]:
        """Play ``samples``, mono at 48 kHz, into ``sink`` while the block runs, or until they end."""
        path = self.directory / f"play-{sink}-{time.monotonic_ns()}.raw"
        path.write_bytes(samples.astype("<i2").tobytes())
        child = self._spawn(
            "pacat",
            "--raw",
            f"--device={sink}",
            f"--rate={RATE}",
            "--channels=1",
            "--format=s16le",
            "--latency-msec=20",
            str(path),
        )
        try:
            yield
        finally:
            _end(child)

    def run(self, script: str, *, sink: str | None = None, source: str | None = None) -> str:
        """Run Python code in a child whose sound goes through this daemon; returns what it prints.

        Raises:
            AssertionError: it failed; the message is its error output.
        """
        return run_python(script, self.env(sink=sink, source=source))

    def _spawn(self, *command: str, stdout: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            command,
            env=self.env(),
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        self._children.append(child)
        return child

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            ready = subprocess.run(
                ["pactl", "info"], env=self.env(), capture_output=True, timeout=10, check=False
            )
            if ready.returncode == 0:
                return
            ended = self._daemon is not None and self._daemon.poll() is not None
            if ended or time.monotonic() > deadline:
                log = (self.directory / "log").read_text(errors="replace")
                self.stop()
                missing(f"pulseaudio does not start here: {log[-500:]}")
            time.sleep(0.05)


class Recording:
    """What a sink has played so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._final: npt.NDArray[np.int16] | None = None

    def finish(self) -> None:
        """Read the file for good."""
        self._final = self._read()

    @property
    def samples(self) -> npt.NDArray[np.int16]:
        """Samples, shape (n,), mono at 48 kHz."""
        return self._read() if self._final is None else self._final

    def wait_for(self, seconds: float, timeout: float = 10.0) -> None:
        """Wait until that much has been recorded."""
        deadline = time.monotonic() + timeout
        while len(self.samples) < seconds * RATE:
            if time.monotonic() > deadline:
                raise AssertionError(f"only {len(self.samples) / RATE:.2f} s recorded in {timeout} s")
            time.sleep(0.01)

    def _read(self) -> npt.NDArray[np.int16]:
        data = self._path.read_bytes()
        return np.frombuffer(data[: len(data) // 2 * 2], "<i2")


def run_python(script: str, env: dict[str, str] | None = None, *, timeout: float = 60.0) -> str:
    """Run Python code in a child process at the root of the repository; returns what it prints.

    Raises:
        AssertionError: it failed; the message is its error output.
    """
    root = Path(__file__).resolve().parents[2]
    env = dict(os.environ if env is None else env)
    env["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [env.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=env,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, (
        f"the child process failed ({done.returncode}):\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout


def tone(frequency: float, seconds: float, *, level: float = 0.5, rate: int = RATE) -> npt.NDArray[np.int16]:
    """A sine tone, shape (n,), int16, peak ``level`` of full scale."""
    t = np.arange(round(seconds * rate)) / rate
    return np.rint(level * 32767 * np.sin(2 * np.pi * frequency * t)).astype(np.int16)


def rms(samples: npt.NDArray[np.int16]) -> float:
    """Loudness of ``samples`` relative to full scale."""
    if not len(samples):
        return 0.0
    return float(np.sqrt(np.mean(np.square(samples.astype(np.float64))))) / 32767


def peak_frequency(samples: npt.NDArray[np.int16], rate: int = RATE) -> float:
    """The strongest frequency in ``samples``, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples)


def audible(
    samples: npt.NDArray[np.int16], *, threshold: float = 0.01, rate: int = RATE
) -> npt.NDArray[np.bool_]:
    """For each 10 ms of ``samples`` whether it is louder than ``threshold`` of full scale."""
    block = rate // 100
    blocks = samples[: len(samples) // block * block].reshape(-1, block).astype(np.float64)
    loud: npt.NDArray[np.bool_] = np.sqrt(np.mean(np.square(blocks), axis=1)) / 32767 > threshold
    return loud


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
