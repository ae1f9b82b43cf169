"""What a few milliseconds of voice tell about the mouth they come from. Pure numpy, no state.

The resonances of the mouth, its formants, are found by linear prediction (Markel & Gray, Linear Prediction of
Speech, 1976) of the band up to 5 kHz, taken from the power spectrum (selective linear prediction, Makhoul
1975), so that any sample rate from 10 kHz on will do without resampling. The first formant rises as the mouth
opens, the second as the lips spread and the tongue comes forward.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.floating[Any]]

WINDOW_S: Final = 0.030
"""Length of the piece of sound that is looked at: some three periods of a low voice."""

TOP_HZ: Final = 5000.0
"""Formants are looked for below this: five of a man's, four of a woman's."""

ORDER: Final = 12
"""Of the linear prediction: two for each formant, and two for the slope."""

_FORMANT_HZ: Final = (180.0, 500.0)
"""Least frequency and greatest bandwidth of what counts as a formant."""

_THIRD_HZ: Final = 1800.0
"""No third formant is below this, but in an r."""

_HEARD_HZ: Final = (100.0, 9000.0)
_HISS_HZ: Final = (3500.0, 9000.0)
_VOICE_HZ: Final = (200.0, 3000.0)
_HUM_HZ: Final = (100.0, 450.0)
_MOUTH_HZ: Final = (650.0, 4000.0)


class VoiceFrames(NamedTuple):
    """What was found in ``k`` pieces of sound."""

    level_db: _Floats
    """Loudness between 100 Hz and 9 kHz, decibels, shape (k,); a sine at full scale has -3."""
    formants: _Floats
    """First, second and third formant in hertz, shape (k, 3); infinite where there is none."""
    hiss_db: _Floats
    """Energy above 3.5 kHz against that of the voice, decibels, shape (k,); high for s, sh, f."""
    hum_db: _Floats
    """Energy below 450 Hz against that above 650 Hz, decibels, shape (k,); high for n, very low for sh."""


@lru_cache(maxsize=16)
def _scales(n: int, size: int) -> tuple[_Floats, _Floats]:
    """The window of ``n`` samples, and what a difference between two makes of each tone's energy."""
    turn = np.pi * np.arange(size // 2 + 1) / size
    return np.hanning(n), np.maximum(4 * np.square(np.sin(turn)), 1e-4)


def analyse(pieces: _Floats, sample_rate: int) -> VoiceFrames:
    """Look at ``pieces``, shape (k, n), samples between -1 and 1, each :data:`WINDOW_S` long."""
    n = pieces.shape[1]
    steeper = np.diff(pieces, axis=1, prepend=pieces[:, :1])
    size = 1 << (n - 1).bit_length()
    window, steepness = _scales(n, size)
    power = np.square(np.abs(np.fft.rfft(steeper * window, size)))
    step = sample_rate / size
    # The difference made high tones louder; its own loudness is known, so one spectrum serves both ends.
    flat = power / steepness

    def band(low_high: tuple[float, float]) -> _Floats:
        low, high = (int(each / step) for each in low_high)
        energy: _Floats = flat[:, low : high + 1].sum(axis=1) + 1e-12
        return energy

    heard = band(_HEARD_HZ) / (size * 0.5 * np.square(window).sum())
    top = min(TOP_HZ, sample_rate / 2)
    correlation = np.fft.irfft(power[:, : int(top / step) + 1])[:, : ORDER + 1]
    return VoiceFrames(
        level_db=10 * np.log10(heard + 1e-12),
        formants=_formants(_predict(correlation), top),
        hiss_db=10 * np.log10(band(_HISS_HZ) / band(_VOICE_HZ)),
        hum_db=10 * np.log10(band(_HUM_HZ) / band(_MOUTH_HZ)),
    )


def _predict(correlation: _Floats) -> _Floats:
    """Coefficients of the linear prediction, shape (k, ORDER + 1) (Levinson and Durbin's recursion)."""
    r = correlation.copy()
    r[:, 0] = r[:, 0] * 1.0001 + 1e-9  # so that silence has an answer, too
    a = np.zeros_like(r)
    a[:, 0] = 1.0
    error = r[:, 0].copy()
    for i in range(1, ORDER + 1):
        k = -(a[:, :i] * r[:, i:0:-1]).sum(axis=1) / error
        a[:, 1 : i + 1] += k[:, None] * a[:, i - 1 :: -1][:, :i]
        error *= 1 - k * k
    return a


def _formants(a: _Floats, top: float) -> _Floats:
    companion = np.zeros((len(a), ORDER, ORDER))
    companion[:, 0, :] = -a[:, 1:]
    companion[:, np.arange(1, ORDER), np.arange(ORDER - 1)] = 1.0
    roots = np.linalg.eigvals(companion)
    frequency = np.angle(roots) * top / np.pi
    bandwidth = -np.log(np.maximum(np.abs(roots), 1e-9)) * 2 * top / np.pi / 2
    low, wide = _FORMANT_HZ
    found = np.sort(np.where((frequency > low) & (bandwidth < wide), frequency, np.inf), axis=1)[:, :4]
    # No mouth has three formants so low: the first two are the halves of one, as an open a of a high voice
    # has.
    split = found[:, 2] < _THIRD_HZ
    first = found[split, :2].mean(axis=1)
    found[split, 1:3] = found[split, 2:4]
    found[split, 0] = first
    return found[:, :3]
