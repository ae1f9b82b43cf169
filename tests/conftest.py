"""Fixtures and options for all tests."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from avatarkit_rtc.errors import ServerError
from avatarkit_rtc.testing.server import LocalServer, build_server, find_server
from tests.support.livekit import LiveKitServer, external_server, mint_token
from tests.support.parallel import Machine, in_order, worker_count
from tests.support.system import missing

# Some tests import PyAV or what imports it; see avatarkit_rtc/pyav.py for why OpenCV has to come first.
with contextlib.suppress(ImportError):
    import cv2  # noqa: F401

SERVER_FIXTURES = {"livekit_server", "own_server"}
MACHINE = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked long too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)
    if hasattr(config, "workerinput"):
        items[:] = in_order(items)
    # A test named on the command line by its node id is wanted, long or not.
    if config.getoption("--long") or any("::" in argument for argument in config.args):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What ``-n auto`` means."""
    return worker_count()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """With ``-n``: what the workers have in common."""
    stash = node.config.stash
    if MACHINE not in stash:
        folder = tempfile.TemporaryDirectory(prefix="avatarkit-rtc-tests-")
        node.config.add_cleanup(folder.cleanup)
        stash[MACHINE] = folder.name
    node.workerinput["machine"] = stash[MACHINE]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """With ``-n``: tests that are marked alone have the machine to themselves. Waiting is not their time."""
    worker = getattr(item.config, "workerinput", None)
    if worker is None:
        return (yield)
    with Machine(Path(worker["machine"])).used(alone=item.get_closest_marker("alone") is not None):
        return (yield)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get the server before the first test: building one takes longer than a test may."""
    if session.config.option.collectonly or not any(
        item.get_closest_marker("server") for item in session.items
    ):
        return
    if external_server() is not None or find_server() is not None:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")

    def say(line: str) -> None:
        if reporter is not None:
            reporter.write_line(line)

    try:
        build_server(say)
    except ServerError as error:
        # The fixtures report it, test by test.
        say(str(error))


def local_server() -> LocalServer:
    """A server of our own; the calling test is skipped, or fails in CI, when this machine has none."""
    if find_server() is None:
        reason = "needs a LiveKit server, and none was found or could be built (see above for why)"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        missing(reason)
    return LocalServer()


@pytest.fixture(scope="session")
def livekit_server() -> Iterator[LiveKitServer]:
    """A real LiveKit server, the same for all tests; leave it running and use the room ``room_name``."""
    external = external_server()
    if external is not None:
        yield external
        return
    with local_server() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[LocalServer]:
    """A real LiveKit server for one test, which may pause, kill and restart it (in a thread)."""
    if external_server() is not None:
        pytest.skip("would end the server that LIVEKIT_URL names")
    with local_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    """What a player sets, it sets for the whole process; the next test begins as this one did."""
    logger = logging.getLogger("avatarkit_rtc")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.fixture
def room_name() -> str:
    """A room that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def join_token(livekit_server: LiveKitServer, room_name: str) -> Callable[..., str]:
    """``join_token(identity, **options of mint_token)``: a token for ``room_name`` on ``livekit_server``."""

    def mint(identity: str, **options: object) -> str:
        return mint_token(livekit_server, room_name, identity, **options)  # type: ignore[arg-type]

    return mint
