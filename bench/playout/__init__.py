"""Playout policies side by side on network traces, on a virtual clock; run as ``python -m bench.playout``."""
