"""Fixtures for the tests of the command line."""

from __future__ import annotations

import pytest

from tests.support.command import clean_environment
from tests.support.livekit import LiveKitServer


@pytest.fixture
def server_env(livekit_server: LiveKitServer) -> dict[str, str]:
    """An environment that names the server and its keys, as a user would set it."""
    return clean_environment(
        LIVEKIT_URL=livekit_server.url,
        LIVEKIT_API_KEY=livekit_server.api_key,
        LIVEKIT_API_SECRET=livekit_server.api_secret,
    )
