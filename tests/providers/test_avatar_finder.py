"""Who the avatar is, by the rules alone."""

from __future__ import annotations

import pytest

from avatarkit_rtc.providers.avatar_finder import (
    KNOWN_IDENTITIES,
    ON_BEHALF_ATTRIBUTE,
    PSEUDO_VIDEO_TRACK,
    AvatarChange,
    AvatarFinder,
    choose_picture,
    choose_voice,
)

MARKED = {ON_BEHALF_ATTRIBUTE: "agent"}


@pytest.mark.parametrize("identity", KNOWN_IDENTITIES)
def test_known_identities_are_avatars(identity: str) -> None:
    finder = AvatarFinder()
    assert finder.update({"somebody": {}, identity: {}}) == AvatarChange(joined=identity)
    assert finder.bound == identity


def test_nobody_is_the_avatar_among_strangers() -> None:
    finder = AvatarFinder()
    assert finder.update({"somebody": {}, "agent": {"lk.agent.state": "speaking"}}) == AvatarChange()
    assert finder.bound is None


def test_attribute_marks_an_avatar_and_an_empty_one_does_not() -> None:
    finder = AvatarFinder()
    assert finder.update({"worker": {ON_BEHALF_ATTRIBUTE: ""}}) == AvatarChange()
    assert finder.update({"worker": MARKED}) == AvatarChange(joined="worker")


def test_known_identity_comes_before_the_attribute() -> None:
    finder = AvatarFinder()
    finder.update({"worker": MARKED, "spatius-avatar": {}})
    assert finder.bound == "spatius-avatar"


def test_among_equals_the_first_to_join_is_taken() -> None:
    finder = AvatarFinder()
    finder.update({"spatius-avatar": {}, "spatialreal-avatar": {}})
    assert finder.bound == "spatius-avatar"


def test_configured_identity_is_the_only_one_that_counts() -> None:
    finder = AvatarFinder("worker")
    assert finder.update({"spatius-avatar": {}, "other": MARKED}) == AvatarChange()
    assert finder.update({"spatius-avatar": {}, "worker": {}}) == AvatarChange(joined="worker")


def test_second_avatar_does_not_take_over() -> None:
    finder = AvatarFinder()
    finder.update({"worker": MARKED})
    assert finder.update({"worker": MARKED, "spatialreal-avatar": {}}) == AvatarChange()
    assert finder.bound == "worker"


def test_avatar_that_loses_its_mark_stays() -> None:
    finder = AvatarFinder()
    finder.update({"worker": MARKED})
    assert finder.update({"worker": {}}) == AvatarChange()


def test_when_it_leaves_the_next_one_is_bound() -> None:
    finder = AvatarFinder()
    finder.update({"worker": MARKED, "second": MARKED})
    assert finder.update({"second": MARKED}) == AvatarChange(left="worker", joined="second")
    assert finder.update({}) == AvatarChange(left="second")
    assert finder.update({}) == AvatarChange()


def test_reset_forgets() -> None:
    finder = AvatarFinder()
    finder.update({"spatius-avatar": {}})
    finder.reset()
    assert finder.bound is None
    assert finder.update({"spatius-avatar": {}}).joined == "spatius-avatar"


@pytest.mark.parametrize(
    ("tracks", "current", "chosen"),
    [
        ([], None, None),
        ([], "gone", None),
        ([("a", "mic")], None, "a"),
        ([("a", "mic"), ("b", "egress-audio")], None, "b"),
        ([("a", "mic"), ("b", "egress-audio")], "a", "b"),
        ([("a", "mic"), ("b", "other")], "b", "b"),
        ([("a", "mic"), ("b", "other")], "gone", "a"),
        ([("a", "egress-audio"), ("b", "egress-audio")], "b", "b"),
    ],
)
def test_choice_of_the_voice(tracks: list[tuple[str, str]], current: str | None, chosen: str | None) -> None:
    assert choose_voice(tracks, current) == chosen


@pytest.mark.parametrize(
    ("tracks", "current", "chosen"),
    [
        ([], None, None),
        ([("V1", PSEUDO_VIDEO_TRACK)], None, None),
        ([("V1", PSEUDO_VIDEO_TRACK), ("V2", "camera")], None, "V2"),
        ([("V1", "camera"), ("V2", "screen")], None, "V1"),
        ([("V1", "camera"), ("V2", "screen")], "V2", "V2"),
        ([("V1", "camera")], "V2", "V1"),
        ([("V1", PSEUDO_VIDEO_TRACK)], "V1", None),
    ],
)
def test_the_picture_is_the_first_video_track_that_is_one(
    tracks: list[tuple[str, str]], current: str | None, chosen: str | None
) -> None:
    assert choose_picture(tracks, current) == chosen
