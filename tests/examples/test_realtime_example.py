"""``examples/realtime.py`` against the stand-in model: it talks, calls the program's tool, and ends well."""

from __future__ import annotations

import asyncio
from pathlib import Path

from avatarkit_rtc.testing.realtime import Call, Reply, StandInRealtimeServer
from tests.support.command import assert_no_loose_ends, clean_environment, start_example
from tests.support.livekit import until


async def test_it_talks_and_ends_by_itself(tmp_path: Path) -> None:
    replies = [Reply("Let me roll.", 0.5, calls=(Call("roll_dice", {"sides": 1}),))]
    async with StandInRealtimeServer(replies=replies, reply=Reply("It is a one.", 0.5)) as server:
        environment = clean_environment(REALTIME_API_KEY=server.key)
        arguments = ["realtime.py", server.url, "--microphone", "none", "--ask", "roll", "--seconds", "4"]
        with start_example(*arguments, cwd=tmp_path, env=environment) as example:
            await until(lambda: "avatar: It is a one." in example.out, "the answer", 40)
            done = await asyncio.to_thread(example.finish)
    assert_no_loose_ends(done)
    assert "roll_dice {'success': True, 'fell': 1}" in done.out
    assert (tmp_path / "realtime.mp4").stat().st_size > 5000
