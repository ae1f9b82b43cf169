"""Bytes to motion frames: the frame, the packet codec, and the stream that finds rounds in packets.

Pure: nothing here knows about clocks, asyncio, the network, sound or the screen.
"""

from avatarkit_rtc.motion.frame import FIELD_SIZES, FRAME_INTERVAL_S, FRAME_SIZE, MotionFrame

__all__ = ["FIELD_SIZES", "FRAME_INTERVAL_S", "FRAME_SIZE", "MotionFrame"]
