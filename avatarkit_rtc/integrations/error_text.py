"""What an error says, also where it is anybody's: one of a tool's may not even be able to say it."""

from __future__ import annotations


def text_of(error: BaseException) -> str:
    """What ``error`` says, which may be nothing; its class where it cannot say it."""
    try:
        return str(error)
    except Exception:
        return type(error).__name__


def text_or_class_of(error: BaseException) -> str:
    """What ``error`` says, else its class."""
    return text_of(error) or type(error).__name__
