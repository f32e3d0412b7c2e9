# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries as journalctl prints them, one by one and with their cursors: who follows a log must know the last one.

JSON is journalctl's own, cut into entries. What has no cursor there is made from the export format, in which all is.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from .entries import Entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .entries import Entry

    Feed = Callable[[bytes], Iterator[tuple[bytes, bytes]]]

JSON_ENDS = {"json": b"\n", "json-seq": b"\n", "json-sse": b"\n\n", "json-pretty": b"\n}\n"}
CURSOR = re.compile(rb'"__CURSOR" ?: ?"([^"]*)"')
STAMPS = {
    "short": "%b %d %H:%M:%S",
    "short-precise": "%b %d %H:%M:%S.%f",
    "short-full": "%a %Y-%m-%d %H:%M:%S %Z",
    "with-unit": "%a %Y-%m-%d %H:%M:%S %Z",
    "verbose": "%a %Y-%m-%d %H:%M:%S.%f %Z",
}


class Form(NamedTuple):
    """output: what the service is asked for. reader: makes what takes bytes of that and gives cursors and texts."""

    output: str
    reader: Callable[[], Feed]


def form(mode: str) -> Form:
    if mode in JSON_ENDS:
        return Form(mode, lambda: _cut(JSON_ENDS[mode]))
    return Form("export", lambda: _rendered(mode))


def _cut(end: bytes) -> Feed:
    """A JSON string holds no line feed and no quotation mark: both are escaped."""
    rest = b""

    def feed(data: bytes) -> Iterator[tuple[bytes, bytes]]:
        nonlocal rest
        *whole, rest = (rest + data).split(end)
        for text in whole:
            found = CURSOR.search(text)
            yield found[1] if found else b"", text + end

    return feed


def _rendered(mode: str) -> Feed:
    entries = Entries()

    def feed(data: bytes) -> Iterator[tuple[bytes, bytes]]:
        for entry in entries.feed(data):
            yield entry[b"__CURSOR"], _text(mode, entry, entries.raw)

    return feed


def _text(mode: str, entry: Entry, raw: bytes) -> bytes:
    match mode:
        case "export":
            return raw
        case "cat":
            return entry.get(b"MESSAGE", b"") + b"\n"
        case "verbose":
            fields = (b"    %s=%s\n" % field for field in entry.items() if not field[0].startswith(b"__"))
            return b"%s [%s]\n%s" % (_stamp(mode, entry), entry[b"__CURSOR"], b"".join(fields))
    who = entry.get(b"SYSLOG_IDENTIFIER", b"unknown")
    if mode == "with-unit":
        who = entry.get(b"_SYSTEMD_UNIT", who)
    pid = entry.get(b"_PID", b"")
    mark = b"%s[%s]" % (who, pid) if pid else who
    message = entry.get(b"MESSAGE", b"")
    return b"%s %s %s: %s\n" % (_stamp(mode, entry), entry.get(b"_HOSTNAME", b"-"), mark, message)


def _stamp(mode: str, entry: Entry) -> bytes:
    clock = b"__MONOTONIC_TIMESTAMP" if mode == "short-monotonic" else b"__REALTIME_TIMESTAMP"
    seconds, usec = divmod(int(entry.get(clock, b"0")), 1_000_000)
    if mode == "short-monotonic":
        return b"[%5d.%06d]" % (seconds, usec)
    if mode == "short-unix":
        return b"%d.%06d" % (seconds, usec)
    when = datetime.fromtimestamp(seconds).astimezone().replace(microsecond=usec)
    if mode in STAMPS:
        return when.strftime(STAMPS[mode]).encode()
    return when.isoformat(timespec="microseconds" if mode == "short-iso-precise" else "seconds").encode()
