"""What is said comes out of a player, through the vendor's real package and a stand-in of its service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError, NotConnectedError, PublishError
from avatarkit_rtc.events import ConnectionState
from avatarkit_rtc.integrations.spatialreal.direct.sender import MAX_WAITING
from avatarkit_rtc.integrations.spatialreal.direct.states import StageState
from avatarkit_rtc.integrations.spatialreal.provider import SpatialRealProvider
from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import PoseKind
from avatarkit_rtc.testing.spatialreal_service import Behaviour, SpatialRealService
from tests.support.spatialreal_provider import (
    RATE,
    HearingView,
    clip,
    performing,
    provider_of,
    until,
    virtually,
    voice,
)
from tests.support.spatialreal_session import KEY, tone

CLIP = clip(3.7)
TONE = tone(1.0, RATE)


def service_of(**behaviour: object) -> SpatialRealService:
    return SpatialRealService(api_key=KEY, behaviour=Behaviour(**{"inference_s": 0.05} | behaviour))


def assert_whole(view: HearingView) -> None:
    """All of :data:`CLIP` was shown and heard, exact, and each frame with its sound."""
    shown = [pose for pose in view.spoken if pose.kind is PoseKind.RECEIVED]
    assert [pose.position for pose in shown] == list(range(len(CLIP.frames)))
    assert [pose.frame for pose in shown] == list(CLIP.frames)
    first = int(np.flatnonzero(CLIP.pcm)[0])
    begin = int(np.flatnonzero(view.samples)[0]) - first
    assert np.array_equal(view.samples[begin : begin + len(CLIP.pcm)], CLIP.pcm)
    sound_at = view.blocks[0].presentation_time + begin / RATE
    off = [pose.presentation_time - pose.position * 0.04 - sound_at for pose in shown]
    assert np.abs(off).max() < 0.010


async def test_every_frame_of_a_clip_is_shown_exactly_with_its_sound() -> None:
    async with (
        SpatialRealService(api_key=KEY, performer=CLIP) as service,
        performing(service) as on,
    ):
        playback = await on.provider.say(CLIP.pcm, sample_rate=RATE)
        finished = await playback.wait()
        await until(lambda: on.record.count("round-ended"), "the end of the round")
        stats = on.provider.stats()
    assert finished.position_s == pytest.approx(len(CLIP.pcm) / RATE, abs=0.011)
    assert (finished.interrupted, playback.started, playback.all_sent) == (False, True, True)
    frames = len(CLIP.frames)
    assert (stats.counters.received, stats.held_frames) == (frames, 0)
    assert stats.connection_id
    assert on.record.names[:2] == ["connected", "avatar-joined"]
    if stats.counters.held_up_s == 0:  # a busy machine
        assert_whole(on.view)
        assert on.record.payloads("round-ended")[0].reason is RoundEndReason.END_FLAG


@virtually
async def test_on_a_clock_of_its_own_it_does_so_to_the_millisecond() -> None:
    async with (
        SpatialRealService(api_key=KEY, performer=CLIP, behaviour=Behaviour(keyframes=7)) as service,
        performing(service) as on,
    ):
        for number in (1, 2):
            on.view.poses.clear()
            on.view.blocks.clear()
            playback = await on.provider.say(voice(CLIP.pcm), sample_rate=RATE)
            await playback.wait()
            await until(lambda n=number: on.record.count("round-ended") == n, "the end of the round")
            assert_whole(on.view)
        assert [each.reason for each in on.record.payloads("round-ended")] == [RoundEndReason.END_FLAG] * 2
        assert on.player.stats().playout.counters.skipped == 0


@virtually
async def test_interrupted_mouth_and_voice_are_still_within_300_ms() -> None:
    loop = asyncio.get_running_loop()
    async with service_of(stale_messages=3, speed=2.0) as service, performing(service) as on:
        first = await on.provider.say(voice(tone(20.0, RATE)), sample_rate=RATE)
        second = await on.provider.say(voice(TONE), sample_rate=RATE)
        await first.wait_started()
        await until(lambda: len(on.view.spoken) > 10, "speech")
        at = loop.time()
        await on.provider.interrupt()
        assert (await first.wait()).interrupted
        assert (await second.wait()).interrupted
        assert on.provider.pending == ()
        await until(lambda: on.provider.stats().counters.outdated > 10, "answers that come too late")
        await asyncio.sleep(1.0)

        assert max(block.t for block in on.view.blocks if block.samples.any()) <= at + 0.01
        moving = [
            after.t
            for before, after in pairwise(on.view.poses)
            if abs(float(after.frame.jaw_pose[0] - before.frame.jaw_pose[0])) > 1e-4
        ]
        assert at < max(moving) < at + 0.300
        assert [pose.t for pose in on.view.spoken if pose.t > at] == []
        assert on.record.payloads("round-ended")[0].reason is RoundEndReason.FLUSHED

        third = await on.provider.say(voice(TONE), sample_rate=RATE)
        assert not (await third.wait()).interrupted
        await until(lambda: on.record.count("round-ended") == 2, "the next round")
        counters = on.provider.stats().counters
        assert counters.received == counters.shown + counters.outdated
        assert counters.interrupted == 2


@virtually
async def test_interrupting_silence_is_fine_and_what_was_just_said_is_dropped() -> None:
    async with service_of() as service, performing(service) as on:
        await on.provider.interrupt()
        saying = asyncio.create_task(on.provider.say(voice(TONE), sample_rate=RATE))
        await asyncio.sleep(0)
        await on.provider.interrupt()
        assert (await (await saying).wait()).interrupted
        playback = await on.provider.say(voice(TONE), sample_rate=RATE)
        assert not (await playback.wait()).interrupted


@virtually
async def test_paused_it_waits_and_what_is_said_next_waits_behind_it() -> None:
    async with service_of() as service, performing(service) as on:
        first = await on.provider.say(voice(TONE), sample_rate=RATE)
        await first.wait_started()
        await asyncio.sleep(0.3)
        on.provider.pause()
        second = await on.provider.say(voice(TONE), sample_rate=RATE)
        await until(lambda: on.view.idles, "the face at rest")
        count = len(on.view.spoken)
        await asyncio.sleep(30.0)
        assert on.provider.stats().state is StageState.PAUSED
        assert len(on.view.spoken) == count
        on.provider.resume()
        assert (await first.wait()).position_s == pytest.approx(1.0)
        assert (await second.wait()).position_s == pytest.approx(1.0)
        heard = [block.samples[:, 0] for block in on.view.blocks if block.samples.any()]
        assert np.array_equal(np.concatenate(heard), np.concatenate([TONE, TONE]))
        assert on.record.count("stalled") == 0


@virtually
async def test_speech_that_is_still_being_made_is_said_as_it_comes() -> None:
    async def slow() -> AsyncIterator[np.ndarray]:
        for number, piece in enumerate(np.array_split(TONE, 6)):
            await asyncio.sleep(2.0 if number == 3 else 0.02)  # hesitates once
            yield piece

    async with service_of() as service, performing(service) as on:
        playback = await on.provider.say(slow(), sample_rate=RATE)
        assert (await playback.wait()).position_s == pytest.approx(1.0, abs=0.011)
        heard = np.concatenate([block.samples[:, 0] for block in on.view.blocks if block.samples.any()])
        assert np.array_equal(np.trim_zeros(heard), np.trim_zeros(TONE))
        assert on.provider.stats().counters.starved == 1


@virtually
async def test_a_source_that_fails_ends_its_utterance_alone() -> None:
    async def broken() -> AsyncIterator[np.ndarray]:
        yield TONE
        raise RuntimeError("the voice has gone")

    async with service_of() as service, performing(service) as on:
        bad = await on.provider.say(broken(), sample_rate=RATE)
        good = await on.provider.say(voice(TONE), sample_rate=RATE)
        with pytest.raises(PublishError) as caught:
            await bad.wait()
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert bad.finished is not None
        assert bad.finished.interrupted
        assert (await good.wait()).position_s == pytest.approx(1.0)
        (connection,) = service.connections
        assert len({turn.req_id for turn in connection.turns}) == 2
        assert ("interrupt", connection.turns[0].req_id) in connection.events


@virtually
async def test_sound_is_sent_no_further_ahead_than_half_a_minute() -> None:
    async def sermon() -> AsyncIterator[np.ndarray]:
        for _ in range(80):
            yield TONE

    most_s, most_frames = 0.0, 0
    # Few keyframes a message: large ones the server compresses in a thread, which a virtual clock outruns.
    async with service_of(speed=1e6, keyframes=20) as service, performing(service) as on:
        playback = await on.provider.say(sermon(), sample_rate=RATE)
        while not playback.over:
            await asyncio.sleep(1.0)
            stats = on.provider.stats()
            most_s, most_frames = max(most_s, stats.held_s), max(most_frames, stats.held_frames)
        assert (await playback.wait()).position_s == pytest.approx(80.0)
        counters = on.provider.stats().counters
        assert counters.received == counters.shown == 2000
    assert 29.0 < most_s <= 30.1
    assert 700 < most_frames < 780


@virtually
async def test_a_service_that_runs_ten_minutes_ahead_is_held_to_what_was_asked_for() -> None:
    class Endless:
        def __init__(self, sample_rate: int) -> None:
            self.made = False

        def hear(self, samples: np.ndarray) -> list[MotionFrame]:
            first, self.made = not self.made, True
            return [MotionFrame.neutral()] * 15000 if first else []

        def finish(self) -> list[MotionFrame]:
            return []

    behaviour = Behaviour(inference_s=0.0, keyframes=20, speed=1e6)
    async with (
        SpatialRealService(api_key=KEY, performer=Endless, behaviour=behaviour) as service,
        performing(service) as on,
    ):
        playback = await on.provider.say(voice(TONE), sample_rate=RATE)
        most = 0
        while not playback.over:
            await asyncio.sleep(0.02)
            most = max(most, on.provider.stats().held_frames)
        assert 0 < most <= 25 + 25
        await until(lambda: on.provider.stats().counters.received == 15000, "ten minutes of motion")
        counters = on.provider.stats().counters
        assert counters.shown >= 25
        assert counters.shown + counters.late + counters.surplus + counters.outdated == 15000


@virtually
async def test_what_cannot_be_is_said_so() -> None:
    async with service_of() as service:
        with pytest.raises(NotConnectedError):
            await provider_of(service).say(TONE, sample_rate=RATE)
        with pytest.raises(ConfigurationError, match="sample_rate"):
            provider_of(service, sample_rate=22050)
        with pytest.raises(ConfigurationError, match="token_life_s"):
            provider_of(service, token_life_s=1)
        with pytest.raises(ConfigurationError, match="SPATIALREAL_API_KEY"):
            SpatialRealProvider(app_id="a", avatar_id="b")
        async with performing(service) as on:
            with pytest.raises(ConfigurationError):
                await on.provider.say(42)
            with pytest.raises(PublishError, match="say"):
                await on.player.publish_audio(TONE, sample_rate=RATE)
            with pytest.raises(PublishError, match="say"):
                await on.provider.publish_track(object())
            assert on.provider.owns_connection
            assert on.provider.get_native_client() is None
            empty = await on.provider.say(voice(TONE[:0]), sample_rate=RATE)
            assert (await empty.wait()).position_s == 0.0
            last = await on.provider.say(voice(tone(5.0)), sample_rate=RATE)
            await last.wait_started()
            await on.player.disconnect()
            with pytest.raises(NotConnectedError):
                await last.wait()
            assert on.provider.get_connection_state() is ConnectionState.DISCONNECTED
            assert KEY not in repr(on.provider)


@virtually
async def test_many_utterances_wait_for_their_turn_and_an_interruption_ends_them_all() -> None:
    async with service_of() as service, performing(service) as on:
        sayings = [asyncio.create_task(on.provider.say(voice(TONE), sample_rate=RATE)) for _ in range(45)]
        await asyncio.sleep(0.5)
        waiting = on.provider.stats().utterances_waiting
        assert waiting == MAX_WAITING
        assert 10 <= sum(not each.done() for each in sayings) <= 12
        await on.provider.interrupt()
        playbacks = await asyncio.gather(*sayings)
        assert all([(await each.wait()).interrupted for each in playbacks])
        assert on.provider.pending == ()
        assert not (await (await on.provider.say(voice(TONE), sample_rate=RATE)).wait()).interrupted


@virtually
async def test_minutes_of_silence_are_no_stall_and_motion_that_stops_is() -> None:
    class Stops:
        def __init__(self, sample_rate: int) -> None:
            self.left = 30

        def hear(self, samples: np.ndarray) -> list[MotionFrame]:
            made = min(self.left, len(samples) // 960)
            self.left -= made
            return [MotionFrame.neutral()] * made

        def finish(self) -> list[MotionFrame]:
            return []

    async with (
        SpatialRealService(api_key=KEY, performer=Stops, behaviour=Behaviour(keyframes=5)) as service,
        performing(service, watch_idle=True) as on,
    ):
        await asyncio.sleep(60.0)
        assert on.record.count("stalled") == 0

        async def endless() -> AsyncIterator[np.ndarray]:
            for _ in range(20):
                yield TONE
                await asyncio.sleep(0.9)  # not complete, so no end of its motion is told

        playback = await on.provider.say(endless(), sample_rate=RATE)
        await playback.wait()
        assert on.record.count("stalled") == 1
        heard = sum(block.duration for block in on.view.blocks if block.samples.any())
        assert heard == pytest.approx(20.0, abs=0.02)  # the voice went on
