"""What the caller sends, and where it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.errors import (
    ConfigurationError,
    RealtimeStateError,
    RealtimeTransportError,
)
from tests.integrations.realtime.conftest import Session

Run = Callable[..., Any]


class TestSending:
    def test_what_is_sent(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            samples = np.array([1, -2], np.int16)
            await its.manager.send_message("hello")
            for audio in (b"\x01\x00\xfe\xff", samples, samples[:, None], np.array([1, 0, -2], ">i2")[::2]):
                await its.manager.send_audio_chunk(audio)
            await its.manager.commit_audio()
            assert its.client.calls == [
                ("send_text", "hello"),
                *[("send_audio", b"\x01\x00\xfe\xff")] * 4,
                ("commit_audio", None),
            ]
            await its.manager.stop_session()

        run(main())

    @pytest.mark.parametrize(
        "audio",
        [b"odd", np.zeros(4, np.float32), np.zeros((4, 2), np.int16), "text", np.zeros((1, 1, 1), np.int16)],
    )
    def test_what_is_no_sound(self, run: Run, audio: Any) -> None:
        async def main() -> None:
            its = await Session().started()
            with pytest.raises(ConfigurationError, match="audio must be"):
                await its.manager.send_audio_chunk(audio)
            await its.manager.stop_session()

        run(main())

    @pytest.mark.parametrize("lost", [False, True])
    def test_refused_without_a_connection(self, run: Run, lost: bool) -> None:
        async def main() -> None:
            its = Session()
            if lost:
                await its.started()
                its.client.lose()
            manager = its.manager
            said = "Realtime session is reconnecting" if lost else "Realtime session not active"
            for send in (
                lambda: manager.send_message("hello"),
                lambda: manager.send_audio_chunk(b""),
                manager.commit_audio,
                manager.interrupt,
            ):
                with pytest.raises(RealtimeStateError, match=said):
                    await send()
            assert its.client.calls == []
            await manager.stop_session()

        run(main())

    def test_a_failure_is_raised_and_changes_nothing(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            its.client.plan("send_text", error=OSError("gone"))
            its.client.plan("interrupt", error=OSError("gone"))
            with pytest.raises(RealtimeTransportError, match="could not send"):
                await its.manager.send_message("hello")
            with pytest.raises(RealtimeTransportError, match="could not interrupt"):
                await its.manager.interrupt()
            assert its.trace.but("realtime:state") == []
            await its.manager.stop_session()

        run(main())
