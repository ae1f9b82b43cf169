"""The pure part of the realtime manager: no event loop, no clock, no network.

What happened goes in, with ``now`` where it matters, and effects come out. :mod:`~.tables` is the place to
begin.
"""
