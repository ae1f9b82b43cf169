"""The volume of whatever plays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.audio.output import NullSpeaker, checked_volume
from avatarkit_rtc.errors import ConfigurationError


@pytest.mark.parametrize("value", [0, 0.5, 1, np.float32(0.25)])
def test_a_volume_is_a_factor(value: float) -> None:
    assert checked_volume(value) == value
    assert type(checked_volume(value)) is float


@pytest.mark.parametrize("value", ["loud", "0.5", None, [1], np.array([0.1, 0.2]), 1j, 1.1, float("nan")])
def test_anything_else_is_refused(value: Any) -> None:
    speaker = NullSpeaker()
    with pytest.raises(ConfigurationError, match=r"volume must be between 0\.0 and 1\.0, not "):
        speaker.volume = value
    assert speaker.volume == 1.0
