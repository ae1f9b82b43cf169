"""The writing side and the card's side together, block by block on a virtual clock."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.intake import Intake, Totals
from avatarkit_rtc.audio.output import Gain
from avatarkit_rtc.audio.playback import Playback

RATE = 48000
TARGET_MS = 60


class Chain:
    """A ring, who writes it and who reads it, in steps of 10 ms."""

    def __init__(self) -> None:
        self.playback = Playback(RATE, 1, target_s=TARGET_MS / 1000, max_s=0.2)
        self.intake = Intake(self.playback, Gain())
        self.now = 0.0

    def write(self, ms: int, level: int = 1000) -> int:
        samples = np.full((ms * 48, 1), level, np.int16)
        return self.intake.write(AudioBlock(samples, RATE, self.now), self.now)

    def read(self) -> npt.NDArray[np.int16]:
        out = np.full((480, 1), 7, np.int16)
        self.playback.callback(out, 480, SimpleNamespace(outputBufferDacTime=0.0, currentTime=0.0), None)
        return out

    def play(self, steps: int, level: int = 1000) -> None:
        for _ in range(steps):
            self.now += 0.01
            self.write(10, level)
            self.read()

    def depth_ms(self) -> float:
        return self.playback.ring.depth / 48

    def totals(self) -> Totals:
        return self.intake.totals()


def test_playing_begins_at_the_target_and_stays_there() -> None:
    chain = Chain()
    while not chain.playback.playing:
        chain.now += 0.01
        chain.write(10)
        chain.read()
    assert chain.depth_ms() == pytest.approx(TARGET_MS, abs=11)
    chain.play(3000)
    average = chain.intake.drift.average_s
    assert average is not None
    assert average * 1000 == pytest.approx(TARGET_MS, abs=6)
    assert chain.totals().underruns == 0


def test_each_block_knows_where_in_the_ring_it_is() -> None:
    chain = Chain()
    chain.play(50)
    mark = chain.write(10, level=-20000)
    at = chain.playback.ring.read_position
    heard = np.concatenate([chain.read() for _ in range(9)])[:, 0]
    assert at + int(np.flatnonzero(heard < -9000)[0]) == pytest.approx(mark, abs=2)


def test_positions_stay_right_through_another_rate() -> None:
    chain = Chain()
    for step in range(100):
        chain.now += 0.02
        level = -20000 if step == 90 else 1000
        block = AudioBlock(np.full((320, 1), level, np.int16), 16000, chain.now)
        mark = chain.intake.write(block, chain.now)
        if step == 90:
            wanted = mark
        at = chain.playback.ring.read_position
        heard = np.concatenate([chain.read(), chain.read()])[:, 0]
        if (heard < -9000).any():
            assert at + int(np.flatnonzero(heard < -9000)[0]) == pytest.approx(wanted, abs=48)
            return
    raise AssertionError("the mark was not heard")


def test_far_too_much_is_cut_out_of_silence_and_not_out_of_sound() -> None:
    chain = Chain()
    chain.play(100)
    for _ in range(9):
        chain.write(10)  # a burst: 90 ms more than there should be
    chain.play(600)
    assert chain.totals().trimmed == 0  # by the correction of the rate only
    left = chain.depth_ms()
    assert left > TARGET_MS + 40
    chain.play(600, level=3)
    assert chain.totals().trimmed > 0.03
    assert chain.depth_ms() == pytest.approx(TARGET_MS, abs=25)
    assert chain.totals().dropped == 0


def test_far_too_little_is_stretched_in_silence() -> None:
    chain = Chain()
    chain.play(100)
    for _ in range(5):
        chain.read()
    chain.play(1000, level=0)
    assert chain.totals().stretched > 0.01
    assert chain.depth_ms() == pytest.approx(TARGET_MS, abs=20)
    assert chain.totals().underruns == 0


def test_a_ring_that_runs_full_is_cut_once_and_counted() -> None:
    chain = Chain()
    for _ in range(25):
        chain.write(10)
    assert chain.totals().overruns == 1
    assert chain.depth_ms() < 200
    assert chain.totals().dropped == pytest.approx(0.25 - chain.depth_ms() / 1000, abs=0.001)


def test_a_gap_in_the_sound_is_an_underrun_and_its_end_is_none() -> None:
    chain = Chain()
    chain.play(100)
    for _ in range(12):
        chain.now += 0.01
        chain.read()
    assert chain.totals().underruns == 0  # perhaps it has ended
    chain.play(20)
    assert chain.totals().underruns == 1
    assert 0.03 < chain.totals().concealed < 0.2
    for _ in range(100):
        chain.now += 0.01
        chain.read()
    chain.play(20)
    assert chain.totals().underruns == 1


def test_sound_that_breaks_off_dies_away() -> None:
    chain = Chain()
    chain.play(50, level=10000)
    chain.intake.write(AudioBlock(np.full((100, 1), 10000, np.int16), RATE, chain.now), chain.now)
    while (heard := chain.read()).min() > 5000:
        pass
    assert np.abs(np.diff(heard[:, 0].astype(int))).max() < 200
    assert heard[-1, 0] == 0


def test_flushed_sound_is_gone_from_every_place() -> None:
    chain = Chain()
    chain.play(100, level=20000)
    chain.intake.flush()
    assert chain.depth_ms() == 0
    assert not chain.read().any()
    chain.now += 0.02
    chain.play(30, level=1)
    assert chain.totals().underruns == 0
    assert chain.totals().flushed == pytest.approx(TARGET_MS / 1000, abs=0.02)
    heard = np.concatenate([chain.read() for _ in range(4)])
    assert heard.max() <= 2  # nothing of it in the resamplers either


def test_totals_add_up() -> None:
    assert Totals(written=1.0, underruns=2) + Totals(written=0.5, overruns=1) == Totals(
        written=1.5, underruns=2, overruns=1
    )


@pytest.mark.parametrize("block_ms", [10, 20, 40, 60, 80, 100, 150, 200, 300])
def test_blocks_of_any_length_are_played_whole(block_ms: int) -> None:
    chain = Chain()
    for _ in range(20_000 // block_ms):
        chain.write(block_ms, 8000)
        assert chain.depth_ms() <= TARGET_MS + 10 + 2 * block_ms
        for _ in range(block_ms // 10):
            chain.now += 0.01
            chain.read()
    totals = chain.totals()
    assert (totals.underruns, totals.overruns, totals.dropped, totals.trimmed) == (0, 0, 0.0, 0.0)
    average = chain.intake.drift.average_s
    assert average is not None
    assert average * 1000 == pytest.approx(TARGET_MS + max(0, block_ms - 20) / 2, abs=10)
    assert chain.playback.target / 48 == TARGET_MS + max(0, block_ms - 20) / 2


def test_a_long_block_among_short_ones_is_forgotten() -> None:
    chain = Chain()
    chain.play(100)
    chain.write(100)
    assert chain.playback.target / 48 == TARGET_MS + 40
    chain.play(2100, level=0)
    assert chain.playback.target / 48 == TARGET_MS
    assert chain.depth_ms() == pytest.approx(TARGET_MS, abs=20)


def test_sound_that_is_not_paced_raises_nothing_and_stays_bounded() -> None:
    chain = Chain()
    for _ in range(20):
        chain.write(1000)
        assert chain.depth_ms() <= 200
    assert chain.playback.target / 48 == TARGET_MS
    assert chain.totals().dropped == pytest.approx(20.0 - 0.2, abs=0.01)
