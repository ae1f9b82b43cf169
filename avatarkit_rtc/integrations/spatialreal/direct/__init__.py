"""The way without LiveKit: motion comes back over the service's WebSocket and is played with the own sound.

What is pure: :mod:`keyframes` (messages), :mod:`utterance` (one thing said), :mod:`stage` (what goes to the
player, and when), with its table in :mod:`states`. Around it: :mod:`speaking` sends the sound, :mod:`link` is
one connection, :mod:`playback` what a caller holds.
"""
