"""Sound: playing the avatar's, recording and publishing the user's. Importing it needs no system library."""

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.devices import AudioDevice, find_device, list_devices
from avatarkit_rtc.audio.echo import EchoCanceller, VoiceProcessing
from avatarkit_rtc.audio.half_duplex import HalfDuplex
from avatarkit_rtc.audio.level import Level, LevelMeter
from avatarkit_rtc.audio.live_microphone import LiveMicrophone
from avatarkit_rtc.audio.microphone import Microphone, open_microphone
from avatarkit_rtc.audio.null_microphone import NullMicrophone
from avatarkit_rtc.audio.output import AudioOutput, NullSpeaker, SpeakerStats
from avatarkit_rtc.audio.publisher import AudioPublisher
from avatarkit_rtc.audio.push_source import PushSource
from avatarkit_rtc.audio.ring import SampleRing
from avatarkit_rtc.audio.sources import SourceReader, is_native_track, open_source
from avatarkit_rtc.audio.speaker import Speaker, open_speaker

__all__ = [
    "AudioBlock",
    "AudioDevice",
    "AudioOutput",
    "AudioPublisher",
    "EchoCanceller",
    "HalfDuplex",
    "Level",
    "LevelMeter",
    "LiveMicrophone",
    "Microphone",
    "NullMicrophone",
    "NullSpeaker",
    "PushSource",
    "SampleRing",
    "SourceReader",
    "Speaker",
    "SpeakerStats",
    "VoiceProcessing",
    "find_device",
    "is_native_track",
    "list_devices",
    "open_microphone",
    "open_source",
    "open_speaker",
]
