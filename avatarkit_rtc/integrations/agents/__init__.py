"""LiveKit Agents' ways, without livekit-agents: make an avatar worker speak, and interrupt it."""

from avatarkit_rtc.integrations.agents.speech import AvatarSpeech, Playback, PlaybackFinished

__all__ = ["AvatarSpeech", "Playback", "PlaybackFinished"]
