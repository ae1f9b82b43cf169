"""``avatarkit-rtc token``."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from livekit import api

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.providers.minting import avatar_token, join_token
from tests.support.command import clean_environment, run_command

KEY, SECRET = "APIkey", secrets.token_urlsafe(36)


def claims(token: str) -> api.access_token.Claims:
    return api.TokenVerifier(KEY, SECRET, leeway=timedelta(0)).verify(token)


def test_the_token_stands_alone_on_standard_output() -> None:
    arguments = ("--url", "ws://host", "--key", KEY, "--secret", SECRET, "--room", "lobby")
    done = run_command("token", *arguments, "--identity", "ann")
    assert (done.code, done.err) == (0, "")
    token = done.out.removesuffix("\n")
    assert token.split() == [token]
    found = claims(token)
    assert found.identity == "ann"
    assert found.video is not None
    assert (found.video.room_join, found.video.room) == (True, "lobby")
    assert found.video.can_publish is not False
    assert found.video.can_subscribe is not False


def test_key_and_secret_come_from_the_environment_too() -> None:
    env = clean_environment(LIVEKIT_API_KEY=KEY, LIVEKIT_API_SECRET=SECRET)
    done = run_command("token", "--room", "lobby", "--identity", "ann", env=env)
    assert claims(done.out.strip()).identity == "ann"


def test_a_token_for_an_avatar() -> None:
    done = run_command("token", "--key", KEY, "--secret", SECRET, "--room", "lobby", "--avatar")
    found = claims(done.out.strip())
    assert (found.identity, found.kind) == ("spatialreal-avatar", "agent")
    assert found.attributes is not None
    assert "lk.publish_on_behalf" in found.attributes
    assert found.video is not None
    assert found.video.can_subscribe is False


def test_a_weak_secret_is_no_reason_for_a_warning() -> None:
    done = run_command("token", "--key", "devkey", "--secret", "secret", "--room", "r", "--identity", "i")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("missing", "wanted"),
    [("--key", "--key"), ("--secret", "--secret"), ("--room", "--room"), ("--identity", "--identity")],
)
def test_what_is_missing_is_said_in_one_line(missing: str, wanted: str) -> None:
    given = {"--key": KEY, "--secret": SECRET, "--room": "lobby", "--identity": "ann"}
    del given[missing]
    done = run_command("token", *(part for pair in given.items() for part in pair))
    assert (done.code, done.out) == (1, "")
    assert len(done.err_lines) == 1
    assert done.err.startswith("avatarkit-rtc: ")
    assert wanted in done.err
    assert SECRET not in done.err


@pytest.mark.parametrize("ttl", ["inf", "1e300", "nan", "315360001", "0"])
def test_a_lifetime_that_no_token_has_is_refused(ttl: str) -> None:
    arguments = ("--key", KEY, "--secret", SECRET, "--room", "lobby", "--identity", "ann", "--ttl", ttl)
    done = run_command("token", *arguments)
    assert done.code != 0
    assert done.out == ""
    assert "Traceback" not in done.err
    assert "--ttl" in done.err or "admits for so many seconds" in done.err


@pytest.mark.parametrize("ttl", [float("inf"), 1e300, float("nan"), -1e300])
def test_minting_refuses_it_too(ttl: float) -> None:
    for mint in (join_token, avatar_token):
        with pytest.raises(ConfigurationError, match="ten years"):
            mint(KEY, SECRET, "lobby", "ann", ttl_s=ttl)
