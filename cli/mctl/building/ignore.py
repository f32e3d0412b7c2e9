# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a context is left out: .containerignore(5), or .dockerignore, as docker matches it."""

from __future__ import annotations

import posixpath
import re

from ..failures import UsageError

FILES = (".containerignore", ".dockerignore")


class Ignored:
    """Patterns from the root of the context; the last that matches a path, or a directory above it, decides."""

    def __init__(self, text: str = "") -> None:
        self._rules: list[tuple[re.Pattern[str], bool]] = []
        for line in text.splitlines():
            pattern = line.strip()
            if pattern and not pattern.startswith("#"):
                kept = pattern.startswith("!")
                self._rules.append((translated(_plain(pattern.removeprefix("!").strip())), kept))

    @property
    def has_exceptions(self) -> bool:
        return any(kept for _, kept in self._rules)

    def __call__(self, path: str) -> bool:
        found = False
        for rule, kept in self._rules:
            if rule.match(path):
                found = not kept
        return found


def _plain(path: str) -> str:
    """As Go's filepath.Clean: ./a, /a and a/ are a."""
    return posixpath.normpath(path).lstrip("/") if path else ""


def translated(pattern: str) -> re.Pattern[str]:
    """Also matches all that is below what it matches."""
    return rule(pattern, r"(?:/.*)?")


def rule(pattern: str, behind: str = "") -> re.Pattern[str]:
    """behind: a regular expression for what may follow. Raises UsageError."""
    try:
        return re.compile(glob(pattern) + behind + r"\Z", re.DOTALL)
    except re.error as error:
        raise UsageError(f"the pattern {pattern!r} makes no sense: {error}") from None


def glob(pattern: str) -> str:
    """Go's filepath.Match, and ** for any number of directories."""
    found, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            found, at = f"{found}(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            found, at = f"{found}.*", at + 2
        elif pattern[at] == "*":
            found, at = f"{found}[^/]*", at + 1
        elif pattern[at] == "?":
            found, at = f"{found}[^/]", at + 1
        elif pattern[at] == "[" and (end := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : end].replace("\\", "\\\\")
            found, at = f"{found}[{'^' + inside[1:] if inside[0] in '^!' else inside}]", end + 1
        else:
            at += pattern[at] == "\\" and at + 1 < len(pattern)
            found, at = found + re.escape(pattern[at]), at + 1
    return found


def has_wildcard(path: str) -> bool:
    return any(letter in path for letter in "*?[")
