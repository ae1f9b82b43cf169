"""Talk with a realtime model: your microphone to the model, its voice to your speaker and to a face.

    REALTIME_API_KEY=… python realtime.py wss://api.openai.com/v1/realtime --model gpt-realtime

Any server with OpenAI's realtime protocol will do. The model can look happy, nod, and look around, and has a
tool of this program's own. Needs ``pip install 'avatarkit-rtc[cli,realtime]'``.
"""

import argparse
import asyncio
import contextlib
import random
from collections.abc import Mapping
from typing import Any

from avatarkit_rtc import AvatarKitError
from avatarkit_rtc.face import FaceLayer
from avatarkit_rtc.integrations.realtime import (
    RealtimeAvatar,
    RealtimeSessionConfig,
    ToolDefinition,
    ToolRegistration,
    WebSocketRealtimeClient,
)
from renderers import OpenCVWindow, Recorder, display_available, make_face
from renderers.face import put_on


async def roll_dice(args: Mapping[str, Any]) -> dict[str, Any]:
    """A tool of this program's own: what it returns, the model is told."""
    return {"success": True, "fell": random.randint(1, max(1, int(args.get("sides", 6))))}


ROLL_DICE = ToolRegistration(
    ToolDefinition(
        "roll_dice",
        "Roll a die.",
        {"type": "object", "properties": {"sides": {"type": "integer", "description": "6 by default."}}},
    ),
    roll_dice,
)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("url", help="wss:// address of the model's server")
    parser.add_argument("--model")
    parser.add_argument(
        "--transcription-model", default="gpt-4o-mini-transcribe", help="writes down what you say"
    )
    parser.add_argument("--microphone", default=None, help="name of the device; 'none' for none")
    parser.add_argument("--ask", help="what you begin with, in writing")
    parser.add_argument("--seconds", type=float, default=None)
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    layer, face = FaceLayer(), make_face("head")
    put_on(face, layer)
    if display_available()[0]:
        view: OpenCVWindow | Recorder = OpenCVWindow("realtime", face=face)
    else:
        view = Recorder("realtime.mp4", face=face, wait=True)
    client = WebSocketRealtimeClient(options.url)  # the key: REALTIME_API_KEY
    config = RealtimeSessionConfig(
        model=options.model,
        instructions="You are Ada, a cheerful receptionist. Be brief.",
        transcription_model=options.transcription_model,
    )
    microphone = False if options.microphone == "none" else options.microphone
    with view:
        async with RealtimeAvatar(client, view, layer=layer, tools=[ROLL_DICE]) as avatar:
            avatar.manager.on("realtime:user:transcript", lambda said: print("you:", said.text))
            avatar.manager.on("realtime:assistant:done", lambda said: print("avatar:", said.text, flush=True))
            avatar.manager.on("realtime:tool:result", lambda done: print(done.name, dict(done.output)))
            avatar.manager.on("realtime:error", lambda failed: print("error:", failed.error))
            await avatar.start(config, microphone=microphone)
            if isinstance(view, Recorder):
                view.begin()  # of a start that fails nothing is recorded
            if options.ask:
                await avatar.say_to_model(options.ask)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(options.seconds):
                    await avatar.wait_closed()


if __name__ == "__main__":
    try:
        asyncio.run(main(read_arguments()))
    except KeyboardInterrupt:
        pass
    except AvatarKitError as error:
        raise SystemExit(str(error)) from None
