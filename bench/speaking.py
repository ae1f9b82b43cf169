"""Does the face speak: its mouth against the loudness of its voice, the shapes of its vowels, its blinks.

The mouth's opening is measured in the drawn picture, a hundred pictures a second. Loudness is the sound's RMS
over 40 ms to the power 0.6 (Stevens' law of hearing). A clip of FLAME keyframes with its sound may be given
(``--clip``, ``--pcm``, or ``AVATARKIT_CLIP``, ``AVATARKIT_CLIP_PCM``); without one a still face speaks what
espeak-ng says, which also speaks the vowels.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import wave
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.face import MOUTH_COEFFICIENTS, FaceDriver, MouthEstimator
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.playout.interpolation import blend
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.testing.clip import load_clip
from bench.mouth import MouthSeen
from bench.report import Figure, Report, arguments, machine, publish
from renderers.face import Face, make_face

CORRELATION_GOAL: Final = 0.6
LAG_GOAL_MS: Final = 40.0
VOWELS_GOAL: Final = 5
BLINKS_GOAL: Final = (10.0, 25.0)

PHRASE: Final = (
    "Good morning everybody. Today we are going to talk about a machine that speaks with a human face."
)
VOICES: Final = ("es", "es+f2", "es+f4", "es+m3", "es+m7", "it", "it+f5")
VOWELS: Final = "aeiou"

_STEP_S: Final = 0.010
_LAGS: Final = 25
_TOLD: Final = 0.8
"""A vowel whose moments are taken for it so often has a shape of its own."""

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.floating[Any]]


class Speech(NamedTuple):
    """Something said, with the face's motion."""

    frames: Sequence[MotionFrame]
    sound: Samples
    sample_rate: int


def espeak(text: str, voice: str, words_per_minute: int = 150) -> tuple[Samples, int]:
    """What espeak-ng says.

    Raises:
        OSError: it is not installed.
    """
    command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "--stdout", text]
    said = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    with wave.open(io.BytesIO(said)) as file:
        # The header is written before the speech, and does not know its length.
        return np.frombuffer(said[44:], "<i2").copy(), file.getframerate()


def still_speech() -> Speech:
    """espeak-ng's words by a face that does not move."""
    sound, rate = espeak(PHRASE, "en-us")
    count = round(len(sound) / rate / FRAME_INTERVAL_S)
    offsets = MotionFrame.from_fields({"rotation": [0.09, 0.02, 0.02], "expression": [1.0, -1.5] * 20})
    return Speech([offsets] * count, sound, rate)


def clip_speech(clip: str, pcm: str) -> Speech:
    """A clip's."""
    utterance = load_clip(clip, pcm)
    return Speech(utterance.frames, utterance.pcm, utterance.sample_rate)


class Spoken(NamedTuple):
    """What was seen and heard, 100 times a second."""

    opening: Floats
    """Pixels of a picture 512 high."""
    loudness: Floats
    picture_ms: float


def speak(face: Face, speech: Speech, *, ahead_s: float = 0.1) -> Spoken:
    """Let ``face`` say ``speech``; the sound is known ``ahead_s`` before it is heard."""
    resting = face.render(Pose(-1.0, PoseKind.IDLE, MotionFrame.neutral()))
    seen, took = MouthSeen(resting), 0.0
    hear: Any = getattr(face, "hear")  # noqa: B009
    rate, blocks = speech.sample_rate, 0
    block = rate // 100
    end_s = min(len(speech.sound) / rate, (len(speech.frames) - 1) * FRAME_INTERVAL_S) - 0.05
    times = np.arange(0.0, end_s, _STEP_S)
    opening = []
    for t in times.tolist():
        while blocks * _STEP_S <= t + ahead_s and (blocks + 1) * block <= len(speech.sound):
            samples = speech.sound[blocks * block : (blocks + 1) * block, None]
            hear(AudioBlock(samples, rate, blocks * _STEP_S))
            blocks += 1
        place = t / FRAME_INTERVAL_S
        before = int(place)
        frame = blend(speech.frames[before], speech.frames[before + 1], place - before)
        begin = perf_counter()
        picture = face.render(Pose(t, PoseKind.RECEIVED, frame, 1, place))
        took += perf_counter() - begin
        opening.append(seen.opening(picture))
    return Spoken(np.array(opening), loudness(speech, times), 1000 * took / len(times))


def loudness(speech: Speech, times: Floats) -> Floats:
    """Loudness at ``times``, by Stevens' power law."""
    wide = round(0.04 * speech.sample_rate)
    squared = np.square(np.pad(speech.sound / 32768.0, wide))
    sums = np.cumsum(squared)
    middle = np.round(times * speech.sample_rate).astype(int) + wide
    mean = (sums[middle + wide // 2] - sums[middle - wide // 2]) / wide
    result: Floats = np.sqrt(np.maximum(mean, 0.0)) ** 0.6
    return result


def follow(spoken: Spoken) -> tuple[float, float]:
    """Correlation of opening and loudness at the same time, and the lag in ms at which it is highest (+: the
    mouth is late)."""
    within = slice(_LAGS, -_LAGS)
    by_lag = [
        float(np.corrcoef(np.roll(spoken.opening, -lag)[within], spoken.loudness[within])[0, 1])
        for lag in range(-_LAGS, _LAGS + 1)
    ]
    return by_lag[_LAGS], (int(np.argmax(by_lag)) - _LAGS) * 1000 * _STEP_S


def vowels_told_apart(voices: Sequence[str] = VOICES) -> tuple[int, float]:
    """How many of five vowels have a mouth of their own, and how often a moment's mouth is that of its vowel.

    Each moment of one voice is given to the vowel whose mean mouth, over all the other voices, is nearest: in
    ARKit's coefficients.
    """
    mouths = {(voice, vowel): _mouths_of(voice, vowel) for voice in voices for vowel in VOWELS}
    right: dict[str, list[bool]] = {vowel: [] for vowel in VOWELS}
    for voice in voices:
        means = np.array(
            [
                np.concatenate([mouths[other, vowel] for other in voices if other != voice]).mean(axis=0)
                for vowel in VOWELS
            ]
        )
        for vowel in VOWELS:
            away = np.square(mouths[voice, vowel][:, None] - means).sum(axis=2)
            right[vowel] += (away.argmin(axis=1) == VOWELS.index(vowel)).tolist()
    shares = [float(np.mean(right[vowel])) for vowel in VOWELS]
    return sum(share >= _TOLD for share in shares), float(np.mean(shares))


def _mouths_of(voice: str, vowel: str) -> Floats:
    """Mouths of the loud moments of a vowel, shape (k, 52)."""
    sound, rate = espeak(f"[[{vowel}]] [[{vowel}]] [[{vowel}]]", voice, 80)
    weights = np.array([moment.weights for moment in MouthEstimator().hear(sound, rate, 0.0)])
    mouths: Floats = weights[weights.sum(axis=1) > 0.6] @ MOUTH_COEFFICIENTS
    return mouths


def blinks_per_minute(seconds: float, seeds: Sequence[int] = range(5)) -> tuple[float, float]:
    """Fewest and most blinks a minute of faces whose stream has none."""
    frame = MotionFrame.from_fields({"eye_lid": [-0.02, -0.02]})
    rates = []
    for seed in seeds:
        driver = FaceDriver(seed=seed)
        poses = (Pose(k * 0.02, PoseKind.RECEIVED, frame, 1) for k in range(round(seconds / 0.02)))
        shut = [driver.pose(pose).coefficients[ARKIT_INDEX["eyeBlinkLeft"]] > 0.5 for pose in poses]
        rates.append(sum(now and not before for before, now in pairwise(shut)) / seconds * 60)
    return min(rates), max(rates)


def measure(
    speech: Speech | None,
    *,
    faces: Sequence[str] = ("head", "cartoon"),
    voices: Sequence[str] = VOICES,
    seconds: float,
) -> Report:
    """Measure all of it; ``speech`` is None for espeak-ng's own."""
    said = speech or still_speech()
    figures: list[Figure] = []
    for name in faces:
        face = make_face(name, (512, 512))
        assert face is not None
        spoken = speak(face, said)
        correlation, lag = follow(spoken)
        figures += [
            Figure(f"{name}: correlation with loudness", correlation, "", CORRELATION_GOAL, at_least=True),
            Figure(f"{name}: lag behind loudness, either way", abs(lag), "ms", LAG_GOAL_MS),
            Figure(f"{name}: most the mouth opens", float(spoken.opening.max()), "pixels of 512"),
            Figure(f"{name}: one picture", spoken.picture_ms, "ms"),
        ]
    late = make_face(faces[0], (512, 512))
    assert late is not None
    correlation, lag = follow(speak(late, said, ahead_s=-0.05))
    figures += [
        Figure("sound known 50 ms late: correlation", correlation, ""),
        Figure("sound known 50 ms late: lag", lag, "ms"),
    ]
    told, share = vowels_told_apart(voices)
    fewest, most = blinks_per_minute(seconds)
    figures += [
        Figure("vowels with a mouth of their own", told, "of 5", VOWELS_GOAL, at_least=True),
        Figure("moments whose mouth is their vowel's", 100 * share, "%"),
        Figure("blinks, fewest", fewest, "a minute", BLINKS_GOAL[0], at_least=True),
        Figure("blinks, most", most, "a minute", BLINKS_GOAL[1]),
    ]
    settings = {
        "speech": "a clip" if speech else "espeak-ng",
        "voices": list(voices),
        "blink_seconds": seconds,
    }
    return Report("speaking", figures, settings)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--clip", default=os.environ.get("AVATARKIT_CLIP"), help="JSON file of FLAME keyframes"
    )
    parser.add_argument("--pcm", default=os.environ.get("AVATARKIT_CLIP_PCM"), help="its sound")
    options = parser.parse_args(argv)
    speech = None
    if options.clip:
        if not (options.pcm and Path(options.pcm).exists()):
            parser.error("--clip needs its sound: --pcm FILE")
        speech = clip_speech(options.clip, options.pcm)
    where = machine()
    if options.quick:
        report = measure(speech, faces=("head",), voices=VOICES[:3], seconds=120)
    else:
        report = measure(speech, seconds=600)
    return publish(report, where, options.json)


if __name__ == "__main__":
    sys.exit(main())
