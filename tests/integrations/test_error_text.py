"""What errors say, and what stands in for those that say nothing or cannot say it."""

from __future__ import annotations

import pytest

from avatarkit_rtc.integrations.error_text import text_of, text_or_class_of


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("nothing to say")


@pytest.mark.parametrize(
    ("error", "text", "text_or_class"),
    [
        (LookupError("no such city"), "no such city", "no such city"),
        (ZeroDivisionError(), "", "ZeroDivisionError"),
        (MuteError(), "MuteError", "MuteError"),
        (SystemExit(3), "3", "3"),
    ],
)
def test_texts(error: BaseException, text: str, text_or_class: str) -> None:
    assert text_of(error) == text
    assert text_or_class_of(error) == text_or_class
