"""Pictures wait for their sound: a simulated sender, whose picture and sound take their time."""

from __future__ import annotations

import pytest

from avatarkit_rtc.video.path_delay import INITIAL_S, RENDER_S, SENDER_S, VideoPathDelay, VideoSums
from avatarkit_rtc.video.picture_times import JUMP_S, SLEW, START_S, START_SLEW, PictureTimes
from avatarkit_rtc.video.prompt_time import BELIEVED_S, PromptTime

FRAME_S = 1 / 25


def test_a_picture_is_due_when_its_sound_is_heard() -> None:
    times = PictureTimes()
    assert times.wait_s is None
    for k in range(50):
        sent = 100.0 + k * FRAME_S
        due = times.due(sent + 0.03, 0.03, 0.2)
        assert due == pytest.approx(sent + 0.2)
    assert times.wait_s == pytest.approx(0.17)


def test_without_sound_and_after_its_sound_a_picture_is_due_at_once() -> None:
    assert PictureTimes().due(5.0, 0.03, None) == 5.0
    late = PictureTimes()
    assert late.due(5.0, 0.09, 0.06) == 5.0
    assert late.wait_s == pytest.approx(-0.03)


def test_changes_are_followed_slowly_and_large_ones_at_once() -> None:
    times = PictureTimes()
    k, last = 0, 0.0

    def run(seconds: float, heard: float) -> list[float]:
        nonlocal k, last
        steps = []
        for _ in range(round(seconds / FRAME_S)):
            due = times.due(k * FRAME_S, 0.0, heard)
            steps.append((due - last) / FRAME_S)
            last, k = due, k + 1
        return steps

    run(2 * FRAME_S, 0.05)
    assert max(run(START_S, 0.2)) <= 1 + START_SLEW + 1e-6
    assert times.wait_s == pytest.approx(0.2)
    steps = run(3.0, 0.05)
    assert min(steps) >= 1 - SLEW - 1e-6
    assert times.wait_s == pytest.approx(0.05)
    run(FRAME_S, 0.05 + 1.1 * JUMP_S)
    assert times.wait_s == pytest.approx(0.05 + 1.1 * JUMP_S)
    # Back again: no picture is due before the one before it.
    assert min(run(1.0, 0.0)) >= -1e-6


def test_presentation_time_is_that_of_the_sound_and_never_goes_back() -> None:
    times = PictureTimes()
    offset = 1000.0  # monotonic time minus the sound's, at its handing out
    for k in range(20):
        sent = 1000.0 + k * FRAME_S
        found = times.presentation_time(sent + 0.03, 0.03, 0.09, offset)
        assert found == pytest.approx(sent + 0.09 - offset)
    before = found
    assert times.presentation_time(sent, 0.03, 0.09, offset) > before


def test_the_path_is_known_by_the_target_delay_of_the_last_pictures() -> None:
    path = VideoPathDelay()
    assert path.delay_s == INITIAL_S
    assert path.update(VideoSums(0.0, 0)) == INITIAL_S
    assert path.update(VideoSums(2.5, 50)) == pytest.approx(0.05 - RENDER_S + SENDER_S)
    for n in range(1, 20):
        path.update(VideoSums(2.5 + 0.9 * n, 50 + 10 * n))
    assert path.delay_s == pytest.approx(0.09 - RENDER_S + SENDER_S, abs=0.001)
    before = path.delay_s
    assert path.update(VideoSums(0.1, 5)) == before  # another stream under the same track
    assert path.update(VideoSums(0.1, 5)) == before


def test_what_waited_for_this_machine_is_taken_out_of_the_moment() -> None:
    prompt = PromptTime()
    for k in range(100):
        meant = 7.0 + k * FRAME_S  # of another clock
        late = 0.12 if k % 10 == 5 else 0.0
        assert prompt.moment(500.0 + k * FRAME_S + late, meant) == pytest.approx(500.0 + k * FRAME_S)
    assert prompt.moment(504.0 + 2 * BELIEVED_S, 11.0) == 504.0 + 2 * BELIEVED_S
    assert prompt.moment(600.0, 0.0) == 600.0
