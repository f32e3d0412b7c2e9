# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that choose how data is printed, alike for every verb that prints some."""

from __future__ import annotations

from .failures import UsageError
from .parser import Option


def json_style(flag: str, text: str) -> str:
    if text not in ("short", "pretty", "off"):
        raise UsageError(f"{flag} {text!r} is not a style of JSON: give short, pretty or off")
    return text


def truth(flag: str, text: str) -> bool:
    lower = text.lower()
    if lower not in ("true", "false", "yes", "no", "1", "0"):
        raise UsageError(f"{flag} {text!r} is not true or false")
    return lower in ("true", "yes", "1")


JSON = Option(
    ("--json",), "print JSON, on one line or for reading", value="short|pretty", convert=json_style, implied="pretty"
)
