"""Rubbish in the room changes nothing but the counters."""

from __future__ import annotations

import random

from avatarkit_rtc.motion.message import Malformed
from avatarkit_rtc.testing.noise import NoiseKind, make_noise
from tests.support.frames import Listener, face, faces, frame_packet, utterance


def test_random_truncated_and_oversized_packets_between_good_ones() -> None:
    rng = random.Random(1)
    good = utterance(faces(40))
    clean, noisy = Listener(), Listener()
    clean.hear(good)
    sent = 0
    for packet in good:
        for _ in range(3):
            noise = make_noise(rng, frame_packet(7, face(7), compress=True))
            if noise.kind is NoiseKind.FOREIGN:
                continue  # of another topic: the provider keeps it away
            noisy.stream.receive(noise.data, noisy.now)
            sent += 1
        noisy.hear(packet)
    assert noisy.events == clean.events
    assert sum(noisy.stream.counters.malformed.values()) == sent
    assert noisy.stream.counters.packets == sent + len(good)
    assert noisy.stream.last_activity == clean.stream.last_activity


def test_every_kind_is_counted_and_nothing_comes_of_it() -> None:
    stream = Listener().stream
    for data in (b"", b"\x80\0\0\0\0", b"\x08\x03\0\0\0abc", bytes(70_000)):
        assert stream.receive(data, 0.0) == []
    assert stream.counters.malformed == {
        Malformed.TOO_SHORT: 1,
        Malformed.UNKNOWN_FLAG: 1,
        Malformed.BAD_COMPRESSION: 1,
        Malformed.TOO_LONG: 1,
    }
