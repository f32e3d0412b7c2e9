# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers as people type them: each refusal names the flag, the value and the bound."""

from __future__ import annotations

from .failures import UsageError

INFINITY = 2**64 - 1
LARGEST = 2**63 - 1  # the kernel's limits are signed
UNLIMITED = ("max", "infinity", "unlimited", "-1")

_SHIFTS = {"k": 10, "m": 20, "g": 30, "t": 40}
_SUFFIXES = {"": 0, "b": 0} | {letter + end: shift for letter, shift in _SHIFTS.items() for end in ("", "b", "ib")}
_SPANS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "min": 60_000_000, "h": 3_600_000_000}
_HOW = "write bytes, or a number with k, m, g or t, as in 512k, 256m, 1.5g"


def size(flag: str, text: str) -> int:
    """Bytes of `256m`, `1g`, `512k`, `1.5GiB`, `1048576`. Multiples are of 1024, as in docker and systemd."""
    lower = text.strip().lower()
    number = lower.rstrip("abcdefghijklmnopqrstuvwxyz")
    suffix = lower[len(number) :]
    if suffix not in _SUFFIXES or not is_decimal(number):
        raise UsageError(f"{flag} {text!r} is not a size: {_HOW}")
    units, _, part = number.partition(".")
    shift = _SUFFIXES[suffix]
    scale: int = 10 ** len(part)
    value = (int(units or 0) << shift) + (int(part or 0) << shift) // scale
    if value > LARGEST:
        raise UsageError(f"{flag} {text} is too large: the most is {LARGEST} bytes")
    return value


def size_or_unlimited(flag: str, text: str) -> int:
    return INFINITY if text.lower() in UNLIMITED else size(flag, text)


def is_decimal(text: str) -> bool:
    """Digits with at most one point among them; no sign, exponent, underscore or foreign digit."""
    return text.isascii() and text.replace(".", "", 1).isdigit() and len(text) <= 40


def whole(flag: str, text: str, low: int, high: int) -> int:
    """A whole number within bounds."""
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20):
        raise UsageError(f"{flag} {text!r} is not a whole number: give one from {low} to {high}")
    value = int(text)
    if not low <= value <= high:
        raise UsageError(f"{flag} {text} is out of range: give a number from {low} to {high}")
    return value


def seconds(flag: str, text: str) -> int:
    """Microseconds of `10`, `0.5` seconds, or `infinity`."""
    if text.lower() in UNLIMITED:
        return INFINITY
    if not is_decimal(text) or float(text) > 2**53:
        raise UsageError(f"{flag} {text!r} is not a time: give seconds, 0 or more, as in 10 or 0.5, or infinity")
    return round(float(text) * 1_000_000)


def duration(flag: str, text: str) -> int:
    """Microseconds of `30s`, `1m30s`, `500ms`, `2h`; a number alone is seconds."""
    if is_decimal(text):
        text += "s"
    rest, total = text, 0.0
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = rest[: len(rest) - len(rest.lstrip("abcdefghijklmnopqrstuvwxyz"))]
        rest = rest[len(unit) :]
        if not is_decimal(number) or unit not in _SPANS:
            raise UsageError(f"{flag} {text!r} is not a time: give one as 30s, 1m30s, 500ms or 2h")
        total += float(number) * _SPANS[unit]
    if not text or total > LARGEST:
        raise UsageError(f"{flag} {text!r} is not a time: give one as 30s, 1m30s, 500ms or 2h")
    return round(total)


def readable(size: int) -> str:
    """Bytes as people read them: 512 B, 4.1 MiB."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{size} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
