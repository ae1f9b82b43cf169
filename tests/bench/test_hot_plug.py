"""``bench.hot_plug``: a short form; how soon is the machine's affair, what is said is ours."""

from __future__ import annotations

import ctypes.util

from bench import hot_plug
from tests.support.system import missing


def test_the_microphone_is_back_after_it_was_gone() -> None:
    if ctypes.util.find_library("portaudio") is None:
        missing("needs the PortAudio library (libportaudio2)")
    for _ in range(3):  # a machine that stands still for seconds may look like one more loss
        figures = {figure.name: figure.value for figure in hot_plug.microphone(2)}
        assert figures["returns that its process did not live to see"] == 0
        assert figures["exit code of its process"] == 0
        if (
            figures["microphone, longest"] < 8
            and figures["returns without exactly the events lost and back"] == 0
        ):
            return
    raise AssertionError(figures)
