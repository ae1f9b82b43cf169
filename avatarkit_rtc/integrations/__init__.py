"""Other systems: each optional, each importable alone, with an extra of its own where it needs one."""
