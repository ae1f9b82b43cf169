"""Playing a session: rounds, clock packets, redundant copies, buffers that misbehave."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import PoseKind
from bench.playout.conditions import condition
from bench.playout.measures import measures
from bench.playout.neteq import NetEqStrategy
from bench.playout.player import ShownPose, StuckError, play
from bench.playout.policies import POLICIES
from bench.playout.rounds import Session, Span, endless, in_rounds
from bench.playout.traces import Trace, from_times


class Recorder:
    """A strategy and buffer that show each frame as it comes, and write down what they were told."""

    target_delay_s = 0.0
    current_delay_s: float | None = None

    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []
        self.ready: list[tuple[float, int]] = []
        self.ended = False

    def new_buffer(self) -> Recorder:
        self.told.append(("round", 0.0))
        self.ended = False
        return self

    def clock_packet(self, now: float) -> None:
        self.told.append(("clock", now))

    def push(self, seq: int, frame: MotionFrame, now: float, *, recovered: bool = False) -> None:
        self.told.append((f"{'copy' if recovered else 'frame'} {seq}", now))
        self.ready.append((now, seq))

    def next_deadline(self) -> float | None:
        return self.ready[0][0] if self.ready else None

    def pop(self, now: float) -> ShownPose | None:
        assert self.ready
        assert now >= self.ready[0][0]
        return ShownPose(PoseKind.RECEIVED, float(self.ready.pop(0)[1]))

    def end(self) -> None:
        self.ended = True

    @property
    def drained(self) -> bool:
        return self.ended and not self.ready


def steady(n: int, lost: tuple[int, ...] = ()) -> Trace:
    send = np.arange(n) * 0.04
    recv = send + 0.02
    recv[list(lost)] = np.nan
    return from_times("steady", send, recv)


def test_numbers_restart_with_each_round_and_the_rest_are_clock_packets() -> None:
    recorder = Recorder()
    shown = play(Session(steady(12), [Span(2, 5), Span(8, 10)]), recorder).shown
    names = [name for name, _ in recorder.told]
    assert names == (
        ["clock"] * 2 + ["round", "frame 0", "frame 1", "frame 2"] + ["clock"] * 3
        + ["round", "frame 0", "frame 1"] + ["clock"] * 2
    )  # fmt: skip
    np.testing.assert_allclose(shown[1].t, [0.34, 0.38])
    np.testing.assert_allclose(shown[1].m, [0, 1])


def test_copies_come_oldest_first_and_once() -> None:
    recorder = Recorder()
    play(endless(steady(6, lost=(2, 3)), copies=2), recorder)
    names = [name for name, _ in recorder.told]
    assert names == ["round", "frame 0", "frame 1", "copy 2", "copy 3", "frame 4", "frame 5"]


def test_copies_do_not_reach_into_the_round_before() -> None:
    recorder = Recorder()
    play(Session(steady(8), [Span(0, 3), Span(3, 6)], copies=2), recorder)
    assert not [name for name, _ in recorder.told if name.startswith("copy")]


def test_rounds_are_cut_by_the_seed_with_room_for_the_transition() -> None:
    trace = condition("clean", 1, 200.0)
    session = in_rounds(trace, seed=3)
    assert [each.begin for each in session.spans] == [each.begin for each in in_rounds(trace, seed=3).spans]
    assert session.spans != in_rounds(trace, seed=4).spans
    assert len(session.spans) > 8
    at = 0
    for span in session.spans:
        assert 25 <= span.begin - at <= 250
        assert 50 <= span.end - span.begin <= 375
        at = span.end


def test_a_trace_too_short_for_a_pause_is_one_round() -> None:
    assert in_rounds(steady(30)).spans == [Span(0, 30)]


def test_a_deadline_in_the_past_does_not_turn_the_clock_back() -> None:
    class Late(Recorder):
        def next_deadline(self) -> float | None:
            due = super().next_deadline()
            return None if due is None else due - 1.0

    shown = play(endless(steady(5)), Late()).shown[0]
    np.testing.assert_allclose(shown.t, np.arange(5) * 0.04 + 0.02)


def test_a_buffer_that_is_due_for_ever_is_found_out() -> None:
    class Stuck(Recorder):
        def pop(self, now: float) -> ShownPose | None:
            return None

    with pytest.raises(StuckError):
        play(endless(steady(5)), Stuck())


@pytest.mark.parametrize("policy", [each for each in POLICIES if each != "hindsight"])
def test_strange_traces_do_not_stop_any_policy(policy: str) -> None:
    send = np.arange(200) * 0.04
    outage = np.where((send > 2) & (send < 4), np.nan, send + 0.02)
    much_later = send + np.where(send > 4, 30.0, 0.0)
    skewed = send * 1.01
    traces = [
        steady(1),
        steady(2),
        from_times("outage", send, outage),
        from_times("much later", send, much_later),
        from_times("skewed", send, skewed),
        from_times("backwards", send, np.full(200, 9.0) - send),
        from_times("all at once", send, np.full(200, 9.0)),
        from_times("only the last", send, np.where(send < send[-1], np.nan, send)),
    ]
    for trace in traces:
        for session in (endless(trace), endless(trace, 2), in_rounds(trace)):
            shown = play(session, POLICIES[policy].makers[0]("catch_up")).shown
            figures = measures(session.tally(shown))
            assert np.isfinite(figures.cost_pct)
            for each in shown:
                assert (np.diff(each.t) >= 0).all()


def test_a_display_at_60_hz_shows_the_same_one_frame_later() -> None:
    session = endless(condition("random_loss", 1, 30.0))
    at_25, at_60 = (
        measures(session.tally(play(session, POLICIES["ours-80"].makers[0]("catch_up"), hz).shown))
        for hz in (None, 60.0)
    )
    assert at_60.latency_ms - at_25.latency_ms == pytest.approx(45, abs=15)
    assert at_60.freeze_pct == pytest.approx(at_25.freeze_pct, abs=1.5)
    assert at_60.skipped_pct == pytest.approx(at_25.skipped_pct, abs=0.5)


def test_the_neteq_target_covers_the_jitter_of_95_percent_of_the_half_seconds() -> None:
    rng = np.random.default_rng(1)
    strategy = NetEqStrategy()
    for seq in range(5000):
        late = 0.130 if rng.random() < 0.05 else 0.0
        strategy.observe(seq, seq * 0.04 + 0.02 + late)
    assert strategy.target_delay_s == pytest.approx(0.14)
    for seq in range(5000, 20000):
        strategy.observe(seq, seq * 0.04 + 0.02)
    assert strategy.target_delay_s == pytest.approx(0.02)


def test_the_neteq_controller_comes_down_after_a_stall() -> None:
    send = np.arange(1500) * 0.04
    recv = send + 0.02
    recv[(send > 20) & (send < 20.5)] = 20.52
    session = endless(from_times("stall", send, recv))
    shown = play(session, NetEqStrategy()).shown[0]
    delay = shown.t - shown.m * 0.04
    assert delay[shown.t > 21][0] > 0.3
    assert delay[-1] < 0.25
