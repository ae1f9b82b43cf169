from __future__ import annotations

import pytest

from avatarkit_rtc.audio.sync import NEEDED_BLOCKS, SMOOTHED_BLOCKS, LipSync


def fed(
    sync: LipSync, blocks: int, *, path_s: float = 0.05, queue_s: float = 0.1, begin: float = 10.0
) -> LipSync:
    for number in range(blocks):
        handed_out = begin + 0.01 * number
        sync.heard(handed_out, path_s, handed_out + queue_s)
    return sync


def test_the_face_waits_for_everything_that_holds_the_voice_up() -> None:
    sync = fed(LipSync(), 50)
    assert sync.delay_s == pytest.approx(0.05 + 0.1 + 0.04)


def test_a_service_with_another_delay_and_a_device_that_is_late_are_settings() -> None:
    assert fed(LipSync(audio_delay_s=0.24), 50).delay_s == pytest.approx(0.39)
    assert fed(LipSync(correction_s=-0.03), 50).delay_s == pytest.approx(0.16)


def test_nothing_is_believed_before_there_are_enough_blocks() -> None:
    assert fed(LipSync(), NEEDED_BLOCKS - 1).delay_s is None
    assert fed(LipSync(), NEEDED_BLOCKS).delay_s is not None


def test_single_blocks_that_are_handed_out_late_do_not_move_it() -> None:
    sync = LipSync()
    for number in range(100):
        late = 0.08 if number % 5 == 0 else 0.0
        at = 10 + 0.01 * number
        sync.heard(at + late, 0.05, at + 0.1)
    assert sync.delay_s == pytest.approx(0.19)


def test_a_change_is_followed_within_a_second() -> None:
    sync = fed(LipSync(), 200)
    fed(sync, SMOOTHED_BLOCKS, path_s=0.2, begin=12.0)
    assert sync.delay_s == pytest.approx(0.34)


@pytest.mark.parametrize("queue_s", [-5.0, 10.0, float("nan")])
def test_what_cannot_be_is_left_out(queue_s: float) -> None:
    assert fed(LipSync(), 50, queue_s=queue_s).delay_s is None


def test_it_forgets_when_the_chain_has_changed() -> None:
    sync = fed(LipSync(), 50)
    sync.forget()
    assert sync.delay_s is None
    fed(sync, NEEDED_BLOCKS, queue_s=0.2)
    assert sync.delay_s == pytest.approx(0.29)
