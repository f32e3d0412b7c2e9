# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes of people's own on containers and volumes."""

from __future__ import annotations

from .failures import UsageError


def label(flag: str, text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key:
        raise UsageError(f"{flag} {text!r} has no key: give KEY=VALUE")
    return key, value


def labels_of_file(flag: str, path: str) -> list[tuple[str, str]]:
    """KEY=VALUE or KEY a line."""
    from .filelines import entries

    return [label(f"{flag} {path}:", line) for line in entries(flag, path)]
