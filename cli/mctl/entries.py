# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the journal as they come through a pipe, and the lines that they are of.

The format: https://systemd.io/JOURNAL_EXPORT_FORMATS/. journald cuts a line that is longer than LineMax= into several
entries and says so in _LINE_BREAK, systemd.journal-fields(7).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    Entry = dict[bytes, bytes]

FIELDS = ["MESSAGE", "_LINE_BREAK", "_STREAM_ID", "_HOSTNAME", "_PID", "SYSLOG_IDENTIFIER"]
LENGTH = 8  # bytes of the number before a field that is not text
LINE_MAX = 64 << 20  # beyond it we do not wait for the end of a line either


class Entries:
    """Bytes in, entries out."""

    def __init__(self) -> None:
        self.raw = b""  # of the entry that was given last
        self._parts: list[bytes] = []
        self._rest = b""
        self._entry: Entry = {}

    def feed(self, data: bytes) -> Iterator[Entry]:
        rest, at = self._rest + data, 0
        while (end := rest.find(b"\n", at)) >= 0:
            line = rest[at:end]
            if not line:
                at = end + 1
                if self._entry:
                    whole, self._entry = self._entry, {}
                    self.raw, self._parts = b"".join((*self._parts, b"\n")), []
                    yield whole
                continue
            key, equals, value = line.partition(b"=")
            if not equals:
                begin = end + 1 + LENGTH
                stop = begin + int.from_bytes(rest[end + 1 : begin], "little")
                if len(rest) < begin or len(rest) <= stop:
                    break
                value, end = rest[begin:stop], stop
            self._entry[key] = value
            self._parts.append(rest[at : end + 1])
            at = end + 1
        self._rest = rest[at:]


class Lines:
    """Puts the pieces of a long line together again: of each stream, since they come in turns."""

    def __init__(self) -> None:
        self._pieces: dict[bytes, Entry] = {}

    def add(self, entry: Entry) -> Entry | None:
        """The entry with a whole line, or None if there is more to come."""
        stream = entry.get(b"_STREAM_ID", b"")
        begun = self._pieces.pop(stream, None)
        whole = entry if begun is None else {**begun, b"MESSAGE": begun[b"MESSAGE"] + entry.get(b"MESSAGE", b"")}
        if entry.get(b"_LINE_BREAK") != b"line-max" or len(whole.get(b"MESSAGE", b"")) > LINE_MAX:
            return whole
        self._pieces[stream] = {b"MESSAGE": b"", **whole}
        return None

    def rest(self) -> list[Entry]:
        """What has had no end."""
        left, self._pieces = list(self._pieces.values()), {}
        return left


def text(entry: Entry, *, stamped: bool) -> bytes:
    """A line; stamped: as journalctl -o short-iso-precise."""
    message = entry.get(b"MESSAGE", b"") + b"\n"
    if not stamped:
        return message
    when = datetime.fromtimestamp(int(entry.get(b"__REALTIME_TIMESTAMP", b"0")) / 1_000_000).astimezone()
    who = entry.get(b"SYSLOG_IDENTIFIER", b"unknown")
    pid = entry.get(b"_PID", b"")
    mark = b"%s[%s]" % (who, pid) if pid else who
    stamp = when.isoformat(timespec="microseconds").encode()
    return b"%s %s %s: %s" % (stamp, entry.get(b"_HOSTNAME", b"-"), mark, message)
