# SPDX-License-Identifier: GPL-3.0-or-later
"""mctld.conf(5), sections [Journal] and [Journal USER]: whose lines have a journal of their own, and its bounds."""

from __future__ import annotations

import pwd
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .conf import DROP_INS, FILE, JOURNAL, YES_NO, lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .conf import Line

LEAST_USE, MOST_USE = 16 << 20, 1 << 50  # bytes
LEAST_RETENTION = 3_600  # seconds
MOST_RETENTION = 100 * 31_557_600
MOST_UID = (1 << 32) - 2  # the next one means nobody to the kernel, credentials(7)
WORDS = (
    f"{JOURNAL} and [Journal USER] have NamespacePerOwner=yes or no, MaxUse= of 16M or more, and MaxRetentionSec= of"
    " an hour to 100 years"
)
_OF_USER = re.compile(r"\[Journal ([^\]\s]+)\]")
_SIZE = re.compile(r"([0-9]{1,18})([KMGT]?)", re.ASCII)
_SPAN = re.compile(r"([0-9]{1,12}) ?([A-Za-z]*)(?: |$)?", re.ASCII)
_BINARY = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SECONDS = {  # systemd.time(7)
    1: ("", "s", "sec", "second", "seconds"), 60: ("m", "min", "minute", "minutes"),
    3_600: ("h", "hr", "hour", "hours"), 86_400: ("d", "day", "days"), 604_800: ("w", "week", "weeks"),
    2_629_800: ("M", "month", "months"), 31_557_600: ("y", "year", "years"),
}  # fmt: skip
_UNITS = {word: seconds for seconds, words in _SECONDS.items() for word in words}


@dataclass(frozen=True, slots=True)
class Wish:
    """max_use: bytes, None: what journald takes by itself. retention: seconds, None: for as long as there is room."""

    namespaced: bool = False
    max_use: int | None = None
    retention: int | None = None


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """What is said of everybody and, by uid, of one: each a part of Wish."""

    everybody: Mapping[str, Any] = field(default_factory=dict)
    users: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def wanted(self) -> bool:
        return any(each.get("namespaced") for each in (self.everybody, *self.users.values()))

    def of(self, uid: int) -> Wish:
        return Wish(**{**self.everybody, **self.users.get(uid, {})})


DEFAULTS = JournalSettings()


def is_mine(section: str) -> bool:
    return section == JOURNAL or _OF_USER.fullmatch(section) is not None


def read(file: str = FILE, drop_ins: str = DROP_INS) -> JournalSettings:
    """What makes no sense is told and left out."""
    everybody: dict[str, Any] = {}
    users: dict[int, dict[str, Any]] = {}
    for line in lines(file, drop_ins):
        if not is_mine(line.section):
            continue
        named = _OF_USER.fullmatch(line.section)
        uid = _uid(named[1]) if named else None
        if named and uid is None:
            line.ignored(f"{line.section} is about a user whom this host does not know")
            continue
        found = everybody if uid is None else users.setdefault(uid, {})
        found |= _said(line)
    return JournalSettings(everybody, users)


def _uid(user: str) -> int | None:
    if user.isascii() and user.isdigit():
        return int(user) if len(user) <= len(str(MOST_UID)) and int(user) <= MOST_UID else None
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _said(line: Line) -> dict[str, Any]:
    """As a part of Wish."""
    try:
        match line.key:
            case "NamespacePerOwner":
                return {"namespaced": YES_NO[line.value]}
            case "MaxUse":
                return {"max_use": size(line.value)}
            case "MaxRetentionSec":
                return {"retention": None if line.value == "infinity" else span(line.value)}
    except (KeyError, ValueError):
        pass
    line.ignored(WORDS)
    return {}


def size(text: str) -> int:
    """Bytes, as journald.conf(5) reads them. Raises ValueError."""
    found = _SIZE.fullmatch(text)
    if not found or not LEAST_USE <= (number := int(found[1]) * _BINARY[found[2]]) <= MOST_USE:
        raise ValueError(text)
    return number


def span(text: str) -> int:
    """Seconds, as systemd.time(7) writes them: 2week, 1month 3d. Raises ValueError, or KeyError for a unit."""
    parts, at = 0, 0
    while at < len(text):
        found = _SPAN.match(text, at)
        if not found:
            raise ValueError(text)
        parts, at = parts + int(found[1]) * _UNITS[found[2]], found.end()
    if not LEAST_RETENTION <= parts <= MOST_RETENTION:
        raise ValueError(text)
    return parts
