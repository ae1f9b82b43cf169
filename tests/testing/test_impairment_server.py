"""A real server behind a bad network: nothing gets around it, and nothing of it is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from avatarkit_rtc.errors import MissingDependencyError, ServerError
from avatarkit_rtc.testing.impairment import ImpairedServer, Impairment, Namespace, remove_stale, unavailable
from avatarkit_rtc.testing.impairment import namespace as namespace_module
from tests.conftest import local_server
from tests.support.command import ROOT, clean_environment, run_command
from tests.support.processes import gone
from tests.support.system import missing

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def possible() -> None:
    """Skips (or fails) where there can be no namespace."""
    reason = unavailable()
    if reason is not None:
        missing(reason)


@pytest.fixture
def with_server(possible: None) -> None:
    """Skips (or fails) where there is no server either."""
    local_server()


def namespaces() -> set[str]:
    names = {each.name for each in Path("/run/netns").iterdir()} if Path("/run/netns").exists() else set()
    return {name for name in names if name.startswith(f"{namespace_module.PREFIX}-{os.getpid()}-")}


def interfaces() -> set[str]:
    return {name for name in os.listdir("/sys/class/net") if re.fullmatch(r"ak[0-9a-f]{8}h", name)}


@pytest.fixture
def nothing_is_left(possible: None) -> Iterator[None]:
    before = namespaces()
    yield
    assert namespaces() == before


def until_gone(name: str, link: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while Path("/run/netns", name).exists() or link in interfaces():
        assert time.monotonic() < deadline, f"{name} is still there"
        time.sleep(0.05)


def test_only_the_other_end_of_the_link_can_be_reached(nothing_is_left: None) -> None:
    with Namespace() as namespace:
        seen = namespace.run(["ip", "-json", "route"], capture_output=True, text=True, check=True)
        assert [route["dst"].endswith("/30") for route in json.loads(seen.stdout)] == [True]
        assert namespace.host_ip != namespace.client_ip
        assert namespace.name in repr(namespace)
    with pytest.raises(ServerError, match="start"):
        namespace.command(["true"])


def test_it_takes_its_programs_with_it(nothing_is_left: None) -> None:
    with contextlib.suppress(ZeroDivisionError), Namespace() as namespace:
        child = namespace.popen(["sleep", "600"])
        # One whose parent is gone, so that only the namespace knows it.
        orphan = namespace.run(
            ["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"], capture_output=True, text=True
        )
        raise ZeroDivisionError
    assert child.returncode == -signal.SIGKILL
    pid = int(orphan.stdout)
    assert gone(pid)
    namespace.stop()


OWNER = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background of a shell ignores it
from avatarkit_rtc.testing.impairment import Namespace
namespace = Namespace()
namespace.start()
child = namespace.popen(["sleep", "600"])
print(namespace.name, namespace._watchdog.pid, child.pid, flush=True)
time.sleep(600)
"""


@contextlib.contextmanager
def owner() -> Iterator[tuple[subprocess.Popen[str], str, int, int]]:
    """A process that owns a namespace: the process, the name, its watchdog and a child."""
    command = [sys.executable, "-c", OWNER]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=clean_environment(), cwd=ROOT
    ) as process:
        try:
            assert process.stdout is not None
            name, watchdog, child = process.stdout.readline().split()
            yield process, name, int(watchdog), int(child)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_an_owner_that_dies_leaves_nothing_behind(possible: None, number: int) -> None:
    with owner() as (process, name, _, child):
        process.send_signal(number)
        process.wait(20)
        until_gone(name, f"ak{name.rsplit('-', 1)[1]}h")
        assert gone(child)


def test_what_even_the_watchdog_left_behind_goes_at_the_next_start(possible: None) -> None:
    with owner() as (process, name, watchdog, _):
        assert name not in remove_stale(), "its owner lives"
        os.kill(watchdog, signal.SIGKILL)
        process.kill()
        process.wait(20)
        assert Path("/run/netns", name).exists()
        with Namespace():
            until_gone(name, f"ak{name.rsplit('-', 1)[1]}h")


def test_without_the_means_the_error_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ServerError, match="Linux"):
        Namespace().start()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    with pytest.raises(ServerError, match="root"):
        ImpairedServer().start()
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependencyError, match="iproute2"):
        Namespace().start()


def test_what_does_not_run_says_so() -> None:
    network = ImpairedServer()
    for use in (lambda: network.url, network.counters, lambda: network.server):
        with pytest.raises(ServerError, match="does not run"):
            use()
    network.stop()
    with pytest.raises(ServerError, match="rtc"):
        ImpairedServer(config={"rtc": {}})


async def test_a_server_that_does_not_come_up_leaves_nothing_behind(nothing_is_left: None) -> None:
    with pytest.raises(ServerError):
        async with ImpairedServer(binary="/bin/false"):
            raise AssertionError("cannot be")


async def test_cancelled_while_starting_it_leaves_nothing_behind(
    nothing_is_left: None, with_server: None
) -> None:
    network = ImpairedServer()
    starting = asyncio.create_task(network.__aenter__())
    await asyncio.sleep(0.05)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    with pytest.raises(ServerError):
        _ = network.url


def test_a_player_behind_the_relay_sees_the_network_it_was_given(
    nothing_is_left: None, with_server: None, tmp_path: Path
) -> None:
    room = ("--room", "behind")
    log, sent = tmp_path / "arrivals.csv", tmp_path / "sent.jsonl"
    with ImpairedServer(down=Impairment(delay_s=0.1), seed=1) as network:
        outside = clean_environment(
            LIVEKIT_URL=network.server.url,
            LIVEKIT_API_KEY=network.server.api_key,
            LIVEKIT_API_SECRET=network.server.api_secret,
        )
        play = [sys.executable, "-m", "avatarkit_rtc", "play", *room, "--headless", "--arrival-log", str(log)]
        printed = tmp_path / "printed"
        with printed.open("w") as output:
            player = network.popen(play, env=clean_environment(), stdout=output, stderr=output)
        deadline = time.monotonic() + 30
        while "connected" not in printed.read_text():
            assert time.monotonic() < deadline, printed.read_text()
            time.sleep(0.05)
        sending = ("--rounds", "1", "--pause", "0.5", "--sent-log", sent)
        done = run_command("publish", *room, *sending, env=outside)
        assert done.code == 0, done.err
        player.send_signal(signal.SIGINT)
        assert player.wait(20) == 0, printed.read_text()
        counters = network.counters()
        assert network.server.log_path is not None
        server_log = network.server.log_path.read_text(errors="replace")
    # Media over UDP, and through the relay: what came took its time.
    assert set(re.findall(r'"connectionType": "(\w+)"', server_log)) == {"udp"}
    assert counters.down.packets > 100
    assert counters.dropped == 0
    lines = [json.loads(line) for line in sent.read_text().splitlines()]
    sent_at = {line["seq"]: line["t"] for line in lines if line["kind"] == "frame"}
    rows = [line.split(",") for line in log.read_text().splitlines()[1:] if not line.startswith("#")]
    took = [float(t) - sent_at[int(seq)] for _, _, _, seq, _, t in rows]
    assert len(took) >= 90, "lossy data: a busy machine may lose a few"
    assert min(took) >= 0.1
