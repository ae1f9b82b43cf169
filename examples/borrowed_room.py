"""Borrowed room: your program already is in a LiveKit room, and the player shall use that room too.

    python borrowed_room.py --url wss://my.livekit.host --seconds 30        # LIVEKIT_TOKEN is set

The room stays yours: you connect it, the player attaches (``connect()`` without address and token) and at
the end only detaches; your own handlers, tracks and data go on. It follows that ``player.reconnect()``
subscribes anew but raises ``RoomNotOwned`` when the room is down, and that auto-reconnect cannot rejoin:
LiveKit's own reconnecting and you look after the connection.
"""

import argparse
import asyncio
import contextlib
import os

from livekit import rtc

from avatarkit_rtc import AvatarKitError, AvatarPlayer, LiveKitProvider
from avatarkit_rtc.providers.join_token import keep_tokens_out_of_logs, redacted
from renderers import HeadlessSink


async def main(args) -> None:
    room = rtc.Room()

    # Everything of your own in the room works as before, next to the player.
    @room.on("data_received")
    def data_received(packet: rtc.DataPacket) -> None:
        if packet.topic == "chat":
            print(f"chat: {packet.data.decode()}", flush=True)

    # The player needs the avatar's voice only and subscribes to it by itself: no auto-subscribe needed.
    await room.connect(args.url, os.environ["LIVEKIT_TOKEN"], rtc.RoomOptions(auto_subscribe=False))
    print(f"in the room {room.name}", flush=True)
    try:
        async with AvatarPlayer(LiveKitProvider(room=room), HeadlessSink(), play_audio=False) as player:
            player.on("round-ended", lambda event: print(f"round {event.round}: {event.reason}", flush=True))
            player.on("disconnected", lambda event: print(f"player: {event.reason}", flush=True))
            await player.connect()
            print(f"avatar: {await player.wait_for_avatar(args.seconds)}", flush=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(player.wait_closed(), args.seconds)
            print(f"{player.stats().playout.counters.shown} frames shown", flush=True)
        # The player has let go; the room is still connected.
        await room.local_participant.publish_data("the player is gone, I am not", topic="chat")
        state = rtc.ConnectionState.Name(room.connection_state)
        print(f"room after the player: {state}", flush=True)
    finally:
        await room.disconnect()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default=os.environ.get("LIVEKIT_URL"))
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    arguments = parser.parse_args()
    if not (arguments.url and os.environ.get("LIVEKIT_TOKEN")):
        parser.error("give --url and set LIVEKIT_TOKEN")
    keep_tokens_out_of_logs()  # LiveKit's SDK quotes a token that is refused
    try:
        asyncio.run(main(arguments))
    except KeyboardInterrupt:
        pass
    except (AvatarKitError, rtc.ConnectError) as error:
        raise SystemExit(redacted(str(error))) from None
