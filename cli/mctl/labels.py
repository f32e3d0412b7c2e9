# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes of people's own on containers and volumes."""

from __future__ import annotations

from .failures import UsageError


def label(flag: str, text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key:
        raise UsageError(f"{flag} {text!r} has no key: give KEY=VALUE")
    return key, value
