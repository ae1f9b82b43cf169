"""``avatarkit-rtc session``: the vendor's package, a stand-in of its service, a real room."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import signal
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from avatarkit_rtc import AvatarPlayer
from avatarkit_rtc.cli import session as command
from avatarkit_rtc.cli.evidence import Evidence
from avatarkit_rtc.cli.vendor_session import DirectWay, RoomWay, Way
from avatarkit_rtc.errors import AvatarKitError, AvatarTimeoutError, ConfigurationError
from avatarkit_rtc.integrations.spatialreal import Playback, PlaybackFinished, SpeechPlayback
from avatarkit_rtc.testing.spatialreal_service import Behaviour, SocketFault, SpatialRealService
from tests.support.command import Done, assert_no_loose_ends, run_command, start_command
from tests.support.livekit import LiveKitServer
from tests.support.motion_log import read_motion_log
from tests.support.spatialreal_session import KEY, RATE, environment_of, tone


@pytest.fixture
async def service() -> AsyncIterator[SpatialRealService]:
    pytest.importorskip("spatialreal", reason="needs the vendor's package, of the extra spatialreal")
    behaviour = Behaviour(inference_s=0.05, ends=2)
    ids = {"app_id": "app-that-nobody-may-see", "avatar_id": "avatar-that-nobody-may-see"}
    async with SpatialRealService(api_key=KEY, behaviour=behaviour, **ids) as service:
        yield service


@pytest.fixture
def env(service: SpatialRealService, server_env: dict[str, str]) -> dict[str, str]:
    return server_env | environment_of(service)


@pytest.fixture
def sound(tmp_path: Path) -> Callable[[float], Path]:
    def write(seconds: float) -> Path:
        path = tmp_path / "say.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(tone(seconds).tobytes())
        return path

    return write


def assert_no_ids(service: SpatialRealService, stats: Path, kinds: set[str]) -> None:
    """Neither app id nor avatar id is in the file, nor in the packets in it."""
    text = stats.read_text()
    assert service.avatar_id not in text
    assert service.app_id not in text
    by_flags = json.loads(text)["packets"]["by_flags"]
    assert kinds <= set(by_flags)
    for kind in kinds:
        for sample in map(base64.b64decode, by_flags[kind]["samples"]):
            body = sample if kind == "message" else gzip.decompress(sample[5:])
            assert service.avatar_id.encode() not in body
            assert b"x" * len(service.avatar_id) in body  # there it was


def secrets_of(service: SpatialRealService, server: LiveKitServer) -> list[str]:
    """Everything that nobody may see."""
    keys = [request.headers["x-session-key"] for request in service.seen("connect")]
    configs = [each.config for each in service.connections if each.config is not None]
    tokens = [config.livekit_egress.api_token for config in configs if config.livekit_egress.api_token]
    return [KEY, server.api_secret, *keys, *tokens]


async def test_says_a_file_records_it_and_leaves_evidence(
    service: SpatialRealService,
    livekit_server: LiveKitServer,
    env: dict[str, str],
    sound: Callable[[float], Path],
    tmp_path: Path,
) -> None:
    pytest.importorskip("av")
    stats, motion, video = tmp_path / "evidence.json", tmp_path / "motion.jsonl", tmp_path / "said.mp4"
    done: Done = await asyncio.to_thread(
        run_command,
        *("session", "--say", sound(0.6), "--room", "the-room", "--record", video),
        *("--face", "cartoon", "--size", "64", "--stats", stats, "--motion-log", motion),
        env=env,
    )
    assert_no_loose_ends(done)
    (connection,) = service.connections
    assert connection.close_code == 1000
    assert connection.config is not None
    assert connection.config.livekit_egress.room_name == "the-room"
    for line in ("avatar spatialreal-avatar is here", "it speaks", "said, over at 0.60 s", "1 rounds, "):
        assert line in done.err
    assert video.stat().st_size > 1000
    shown = {pose["position"] for pose in read_motion_log(motion) if pose["round"] == 1}
    assert len(shown & set(range(15))) >= 12  # all, where nothing else keeps the machine busy
    told = json.loads(stats.read_text())
    assert told["session"]["connection_id"] == connection.id
    assert told["session"]["duplicate_ends"] == 2
    assert told["motion"]["frames"] == 15
    assert told["playout"]["rounds"]
    events = [event["event"] for event in told["events"]]
    for event in ("player avatar-joined", "speech-started", "speech-ended", "state-changed"):
        assert event in events
    assert events.count("speech-ended") == 1
    (avatar,) = told["room"]["participants"]
    assert {track["name"] for track in avatar["tracks"]} == {"egress-audio", "egress-animation"}
    assert avatar["attributes"]["lk.publish_on_behalf"] == "avatarkit-rtc"
    by_flags = told["packets"]["by_flags"]
    assert_no_ids(service, stats, {"0x18", "0x28", "0x48"})
    assert len(by_flags["0x48"]["samples"]) == 5
    everything = done.out + done.err + stats.read_text() + motion.read_text()
    for secret in secrets_of(service, livekit_server):
        assert secret not in everything


async def test_without_livekit(
    service: SpatialRealService, env: dict[str, str], sound: Callable[[float], Path], tmp_path: Path
) -> None:
    stats = tmp_path / "evidence.json"
    arguments = ("session", "--say", sound(0.4), "--direct", "--headless", "--stats", stats)
    done = await asyncio.to_thread(run_command, *arguments, env=env)
    assert_no_loose_ends(done)
    told = json.loads(stats.read_text())
    assert told["session"]["way"] == "direct"
    assert told["session"]["counters"]["received"] == 10
    assert told["session"]["counters"]["shown"] >= 8
    assert told["packets"]["by_flags"]["message"]["count"] == 1
    assert_no_ids(service, stats, {"message"})
    for line in ("session connection-", "it speaks", "said, over at 0.40 s", "1 rounds, "):
        assert line in done.err
    assert KEY not in done.out + done.err + stats.read_text()


@pytest.mark.parametrize("stop", [signal.SIGTERM])
async def test_ctrl_c_ends_the_session(
    stop: signal.Signals, service: SpatialRealService, env: dict[str, str], sound: Callable[[float], Path]
) -> None:
    with start_command("session", "--say", sound(60.0), "--headless", env=env) as child:
        await asyncio.to_thread(child.wait_for, "it speaks")
        child.signal(stop)
        done = await asyncio.to_thread(child.finish)
    assert_no_loose_ends(done)
    assert "cut off" in done.err
    assert service.connections[0].close_code == 1000


async def test_a_service_that_refuses(
    service: SpatialRealService, env: dict[str, str], sound: Callable[[float], Path], tmp_path: Path
) -> None:
    stats = tmp_path / "evidence.json"
    env |= {"SPATIALREAL_API_KEY": "another-key-that-nobody-may-see"}
    done = await asyncio.to_thread(
        run_command, "session", "--say", sound(0.1), "--headless", "--stats", stats, env=env
    )
    assert done.code == 1
    assert "SPATIALREAL_API_KEY" in done.err_lines[-1]
    assert "Traceback" not in done.err
    told = json.loads(stats.read_text())
    assert told["events"][-1]["code"] == "spatialreal-auth"
    assert told["events"][-1]["status"] == 401
    assert "another-key" not in done.out + done.err + stats.read_text()


@pytest.mark.parametrize("direct", [False, True])
async def test_the_check_holds_and_cuts_off(
    direct: bool,
    service: SpatialRealService,
    livekit_server: LiveKitServer,
    sound: Callable[[float], Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "_HOLD_AFTER_S", 0.2)
    monkeypatch.setattr(command, "_HOLD_S", 0.2)
    evidence = Evidence()
    options: dict[str, Any] = {
        "api_key": KEY,
        "app_id": service.app_id,
        "avatar_id": service.avatar_id,
        "console_url": service.console_url,
        "ingress_url": service.ingress_url,
    }
    way: Way
    if direct:
        way = DirectWay(evidence, **options)
    else:
        options |= {"livekit_url": livekit_server.url, "livekit_api_key": livekit_server.api_key}
        way = RoomWay(evidence, None, livekit_api_secret=livekit_server.api_secret, **options)
    async with AvatarPlayer(way.provider, play_audio=False) as player, way.begin(player):
        await player.wait_for_avatar(20)
        await command._Plan(way, [sound(1.5)], evidence, check=True).run()
    printed = capfd.readouterr().err
    assert printed.count("it speaks") == 3
    for line in ("said, over at 1.50 s", "held at ", "it goes on", "cut off at "):
        assert line in printed
    told = [event["event"] for event in evidence.as_dict()["events"]]
    said = [event for event in told if event.startswith(("speech", "say", "interrupted"))]
    whole = ["say", "speech-started", "speech-ended"]
    held = ["say", "speech-started", "speech-paused", "speech-resumed", "speech-ended"]
    cut = ["say", "speech-started", "interrupted", "speech-ended"]
    assert said == [*whole, *held, *cut]


async def test_what_was_not_held_or_cut_off_is_told(
    sound: Callable[[float], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    class Way:
        async def say(self, source: Any) -> Any:
            playback = SpeechPlayback()
            playback.finish(PlaybackFinished(0.1, False))
            return playback

        async def wait_speaking(self) -> None:
            pass

    evidence = Evidence()
    await command._Plan(Way(), [sound(0.1)], evidence, check=True).run()  # type: ignore[arg-type]
    told = [event["event"] for event in evidence.as_dict()["events"]]
    assert told == ["say", "over", "say", "not held", "over", "say", "not cut off", "over"]
    printed = capfd.readouterr().err
    assert "not held: it was over before" in printed
    assert "not cut off: it was over before" in printed


@pytest.mark.parametrize("direct", [False, True])
async def test_a_sentence_that_is_lost_fails_the_command(
    direct: bool,
    service: SpatialRealService,
    env: dict[str, str],
    sound: Callable[[float], Path],
    tmp_path: Path,
) -> None:
    service.fail("sentence", SocketFault(cut=True, after_s=0.3))
    stats = tmp_path / "evidence.json"
    arguments = ["session", "--say", sound(1.5), "--headless", "--stats", stats]
    done = await asyncio.to_thread(run_command, *arguments, *["--direct"] * direct, env=env)
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "cut off" in done.err
    told = json.loads(stats.read_text())
    assert told["events"][-1]["code"] == "spatialreal-unreachable"
    assert "failed" in [event["event"] for event in told["events"]]


def test_what_is_no_sound_is_found_before_a_session_is_paid_for(
    sound: Callable[[float], Path], tmp_path: Path
) -> None:
    text, stats = tmp_path / "say.wav.txt", tmp_path / "evidence.json"
    text.write_text("no sound at all")
    nobody = {"app_id": "an-app", "avatar_id": "a-face", "direct": True, "window": False, "stats": stats}
    for arguments, wanted in (
        ({"speak": [text]}, "say.wav.txt"),
        ({"speak": [sound(3.0)], "check": True}, "3.0 s of sound; --check needs 4 s"),
    ):
        with pytest.raises(ConfigurationError, match=wanted):
            command.session(**arguments, **nobody)  # type: ignore[arg-type]
        (event,) = json.loads(stats.read_text())["events"]
        assert (event["event"], event["code"]) == ("failed", "configuration")
        stats.unlink()


def test_a_start_that_fails_is_in_the_evidence_however_early(
    sound: Callable[[float], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "APP_ID", "AVATAR_ID"):
        monkeypatch.delenv(f"SPATIALREAL_{name}", raising=False)
    monkeypatch.setenv("LIVEKIT_URL", "")
    stats = tmp_path / "evidence.json"
    for arguments in (
        {"direct": True},
        {"direct": False},
        {"direct": True, "motion_log": tmp_path / "nowhere" / "log"},
        {"direct": True, "record": tmp_path / "nowhere" / "said.mp4"},
    ):
        if "record" in arguments:
            pytest.importorskip("av")
        with pytest.raises(AvatarKitError):
            command.session(speak=[sound(0.1)], window=False, stats=stats, **arguments)  # type: ignore[arg-type]
        (event,) = json.loads(stats.read_text())["events"]
        assert event["event"] == "failed"
        stats.unlink()


def test_no_key_is_in_the_evidence_whoever_names_it(
    sound: Callable[[float], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {"app_id": "app-of-mine", "avatar_id": "face-of-mine", "key": "APIkeyOfMine", "secret": "ours" * 8}

    def refused(main: Any) -> None:
        raise AvatarKitError(f"401 Unauthorized: {' '.join(ours.values())} {KEY}")

    monkeypatch.setenv("SPATIALREAL_API_KEY", KEY)
    monkeypatch.setattr(command, "run", refused)
    stats = tmp_path / "evidence.json"
    with pytest.raises(AvatarKitError, match="APIkeyOfMine"):
        command.session(speak=[sound(0.1)], window=False, stats=stats, **ours)  # type: ignore[arg-type]
    (event,) = json.loads(stats.read_text())["events"]
    assert event["message"] == "401 Unauthorized: " + " ".join(["<hidden>"] * 5)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({}, "--say FILE, or --mic"),
        ({"speak": [Path("missing.wav")], "mic": True}, "--say FILE, or --mic"),
        ({"speak": [Path("missing.wav")]}, "no file missing.wav"),
        ({"mic": True, "check": True}, "--check goes with"),
        ({"mic": True, "record": Path()}, "name it"),
        ({"mic": True, "stats": Path("/nowhere/at/all.json")}, "--stats"),
    ],
)
def test_what_cannot_be_is_said_at_once(arguments: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ConfigurationError, match=wanted):
        command.session(**arguments)


async def test_the_microphone_is_said_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class Way:
        async def say(self, source: Any) -> Any:
            said.append(source)
            playback = Playback()
            playback.finish(PlaybackFinished(1.0, False))
            return playback

    class Microphone:
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    async def opened() -> Any:
        return microphone

    said: list[Any] = []
    microphone = Microphone()
    monkeypatch.setattr(command, "open_microphone", opened)
    await command._Plan(Way(), [], Evidence(), check=False).run()  # type: ignore[arg-type]
    assert said == [microphone]
    assert microphone.closed


async def test_an_avatar_that_does_not_come_is_missed_with_a_reason() -> None:
    class Player:
        async def wait_for_avatar(self, timeout: float) -> str:
            raise AvatarTimeoutError("no avatar came.")

    class Way:
        def doubt(self) -> str | None:
            return "this machine alone"

    with pytest.raises(AvatarTimeoutError, match=r"no avatar came\. this machine alone"):
        await command._avatar(Player(), Way())  # type: ignore[arg-type]
