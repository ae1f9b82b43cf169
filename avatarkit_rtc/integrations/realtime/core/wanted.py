"""Which config is wanted, which one the provider was sent last, and which one it has."""

from __future__ import annotations

from avatarkit_rtc.integrations.realtime.config import (
    Character,
    RealtimeSessionConfig,
    build_realtime_session_config,
)
from avatarkit_rtc.integrations.realtime.core.tools import ToolRegistry


class WantedConfig:
    """What the caller has asked for, merged, across sessions; and what became of it."""

    def __init__(self, registry: ToolRegistry, default: RealtimeSessionConfig | None) -> None:
        """
        Args:
            registry: the tools; read whenever a config is made.
            default: what is wanted where the caller says nothing.
        """
        self._registry = registry
        self._wanted = self._sent_wanted = self._accepted = default or RealtimeSessionConfig()
        self.sent = self._wanted
        """What the provider was given last, complete."""
        self.live: RealtimeSessionConfig | None = None
        """What the provider has; None without a session."""
        self.changed = False
        """Whether something else is wanted than was sent."""

    def want(self, config: RealtimeSessionConfig | None) -> None:
        """Take over what ``config`` says."""
        self._wanted = self._wanted.merge(config)
        self.changed = True

    def send(self, character: Character | None) -> RealtimeSessionConfig:
        """The complete config to give the provider now."""
        tools = RealtimeSessionConfig(tools=self._registry.definitions())
        self.sent = build_realtime_session_config(character, self._wanted.merge(tools))
        self._sent_wanted = self._wanted
        self.changed = False
        return self.sent

    def take_over(self) -> None:
        """The provider has what it was sent."""
        self.live, self._accepted = self.sent, self._sent_wanted

    def refused(self) -> None:
        """The provider will not have what it was sent: unless more was asked for since, that is forgotten.
        Asking for it again would keep a reconnect from working."""
        if not self.changed:
            self._wanted = self._accepted
