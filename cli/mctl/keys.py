# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys that leave a container's terminal, as docker writes them: ctrl-p,ctrl-q."""

from __future__ import annotations

from .failures import UsageError

DEFAULT = b"\x10\x11"
_CONTROL = {**{chr(ord("a") + n): n + 1 for n in range(26)}, "@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def sequence(flag: str, text: str) -> bytes:
    """Empty: nothing leaves."""
    return bytes(_key(flag, text, word) for word in text.split(",")) if text else b""


def _key(flag: str, text: str, word: str) -> int:
    if len(word) == 1 and word.isascii() and word.isprintable():
        return ord(word)
    number = _CONTROL.get(word.removeprefix("ctrl-").lower()) if word.startswith("ctrl-") else None
    if number is None:
        raise UsageError(
            f"{flag} {text!r}: {word!r} is no key: give characters, or ctrl- with a letter or one of @ [ \\ ] ^ _, "
            "separated by commas"
        )
    return number


class Keys:
    """Looks for the sequence in what is typed. A beginning of it waits for what comes next."""

    def __init__(self, wanted: bytes) -> None:
        self._wanted = wanted
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What is to be passed on, and whether the sequence was typed then."""
        if not self._wanted:
            return data, False
        text = self._held + data
        self._held = b""
        found = text.find(self._wanted)
        if found >= 0:
            return text[:found], True
        for length in range(min(len(self._wanted) - 1, len(text)), 0, -1):
            if self._wanted.startswith(text[-length:]):
                self._held = text[-length:]
                return text[:-length], False
        return text, False
