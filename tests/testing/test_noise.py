from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.motion.packet import PacketError, decode_packet, encode_frame, encode_message
from avatarkit_rtc.testing.noise import NoiseKind, make_noise

GOOD = encode_frame(7, encode_message(MotionFrame.neutral()), start=True)


@given(st.integers())
def test_noise_is_malformed_for_certain_and_foreign_packets_are_fine(seed: int) -> None:
    noise = make_noise(random.Random(seed), GOOD)
    assert noise.data
    if noise.kind is NoiseKind.FOREIGN:
        assert decode_packet(noise.data).seq == 7
    else:
        with pytest.raises(PacketError):
            decode_packet(noise.data)


def test_every_kind_of_noise_and_many_ways_of_being_wrong_turn_up() -> None:
    rng, kinds, errors = random.Random(1), set(), set()
    for _ in range(300):
        noise = make_noise(rng, GOOD)
        kinds.add(noise.kind)
        if noise.kind is not NoiseKind.FOREIGN:
            with pytest.raises(PacketError) as error:
                decode_packet(noise.data)
            errors.add(str(error.value))
    assert kinds == set(NoiseKind)
    assert errors >= {
        "too-short",
        "truncated",
        "too-long",
        "bad-compression",
        "inflates-too-far",
        "bad-message",
    }
