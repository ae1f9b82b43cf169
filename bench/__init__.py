"""Measurements, run from a checkout: ``python -m bench.decode`` and its neighbours. See README.md here."""
