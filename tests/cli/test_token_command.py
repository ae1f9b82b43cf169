"""``avatarkit-rtc token``."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from livekit import api

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
