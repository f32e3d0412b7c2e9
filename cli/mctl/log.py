# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's log as the service opens it: read to its end, or followed until the container has ended."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, TypeVar

from .client import CONTAINER, Call
from .failures import NO_SUCH, Failure
from .names import call_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .client import Client
    from .entries import Entry
    from .rendering import Form

    Asked = dict[str, tuple[str, object]]
    Parser = Callable[[bytes], Iterator["T"]]  # from one opening of the log to the next

T = TypeVar("T")

CHUNK = 64 << 10
PATIENCE = 60.0  # seconds in which a service that has gone may come back
PAUSE = 0.2


class Log:
    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._cursor = b""  # of the last entry that was seen
        self._final: bytes | None = None  # of the last that there will be
        self._began = time.time_ns() // 1_000
        self._last = 0.0  # when there was something, monotonic; 0 before the first time that it was opened

    def pieces(self, asked: Asked) -> Iterator[bytes]:
        (log,) = self._open("OpenLog", asked)
        try:
            while data := os.read(log, CHUNK):
                yield data
        finally:
            os.close(log)

    def is_broken(self, asked: Asked) -> bool:
        """Whether journald has cut a line in pieces."""
        kept = {key: value for key, value in asked.items() if key in ("Since", "Until", "Priority")}
        return any(self.pieces({**kept, "Lines": ("t", 1), "Broken": ("b", True)}))

    def lines(self, asked: Asked) -> Iterator[Entry]:
        """Whole ones, from where the last call has ended."""
        from .entries import FIELDS, Entries, Lines

        joined = Lines()

        def parser() -> Parser[Entry]:
            entries = Entries()
            return lambda data: self._seen((entry[b"__CURSOR"], entry) for entry in entries.feed(data))

        for entry in self._patiently({**asked, "Output": ("s", "export"), "Fields": ("as", FIELDS)}, parser):
            if line := joined.add(entry):
                yield line
        yield from joined.rest()

    def printed(self, asked: Asked, form: Form) -> Iterator[bytes]:
        """Entry by entry, as journalctl prints them."""

        def parser() -> Parser[bytes]:
            feed = form.reader()
            return lambda data: self._seen(feed(data))

        return self._patiently({**asked, "Output": ("s", form.output)}, parser)

    def _seen(self, found: Iterable[tuple[bytes, T]]) -> Iterator[T]:
        for cursor, entry in found:
            self._cursor = cursor
            yield entry

    def _patiently(self, asked: Asked, parser: Callable[[], Parser[T]]) -> Iterator[T]:
        """What comes after what was seen. A log that is followed ends with the service, which may come back."""
        follows = "Follow" in asked
        if follows and asked.get("Lines") == ("t", 0):
            self._go_to_end(asked)
        while True:
            parse = parser()
            try:
                for data in self._followed(self._after(asked)) if follows else self.pieces(self._after(asked)):
                    self._last = time.monotonic()
                    yield from parse(data)
            except Failure as error:
                if not self._last or error.name in NO_SUCH or time.monotonic() > self._last + PATIENCE:
                    raise
                self._client.close()
            else:
                if not follows or self._is_complete or _is_past(asked.get("Until")):
                    return
            self._last = self._last or time.monotonic()
            time.sleep(PAUSE)

    def _followed(self, asked: Asked) -> Iterator[bytes]:
        """Until the service has gone, or has said which entry is the last and that one is here."""
        log, end = self._open("FollowLog", {key: value for key, value in asked.items() if key != "Follow"})
        told, watched = b"", [log, end]
        try:
            while not self._is_complete:
                ready, _, _ = select.select(watched, (), ())
                if end in ready:
                    data = os.read(end, CHUNK)
                    told += data
                    if told.endswith(b"\n"):
                        self._final = told[:-1]
                    if not data:
                        watched.remove(end)
                if log in ready:
                    if not (data := os.read(log, CHUNK)):
                        return
                    yield data
        finally:
            os.close(log)
            os.close(end)

    @property
    def _is_complete(self) -> bool:
        return self._final is not None and self._final in (b"", self._cursor)

    def _go_to_end(self, asked: Asked) -> None:
        """What is there already is not wanted, but where it ends."""
        kept = {key: value for key, value in asked.items() if key == "Priority"}
        last = b"".join(
            self.pieces({**kept, "Lines": ("t", 1), "Output": ("s", "export"), "Fields": ("as", ["PRIORITY"])})
        )
        self._cursor = last.partition(b"__CURSOR=")[2].partition(b"\n")[0]
        self._last = time.monotonic()

    def _after(self, asked: Asked) -> Asked:
        if self._cursor:
            kept = {key: value for key, value in asked.items() if key != "Lines"}
            return {**kept, "AfterCursor": ("s", self._cursor.decode())}
        if self._last and "Lines" in asked:  # it was empty so far: then all is new
            kept = {key: value for key, value in asked.items() if key != "Lines"}
            return {**kept, "Since": ("t", self._began)}
        return asked

    def _open(self, member: str, asked: Asked) -> tuple[int, ...]:
        return call_on(self._client, self._name, Call("", CONTAINER, member, "a{sv}t", asked, 0))


def _is_past(until: tuple[str, object] | None) -> bool:
    return until is not None and isinstance(until[1], int) and until[1] < time.time_ns() // 1_000
