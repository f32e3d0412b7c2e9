# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's lines, read back from the journal by journalctl(1) for whoever may see them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import LimitsExceeded, MctlError
from . import supervise
from .followers import Follower
from .place import units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .followers import Followers
    from .journals import Journals
    from .supervised import Supervised

READERS_PER_USER = 32
CHOICE = "mctl.log-labels"
EPILOGUE = "mctld.service"  # of what was printed last, in our own words (epilogue.py)
FIELD_MAX = 64  # characters of the name of a field, sd_journal_print(3)
EVENT_FIELDS = (
    "MESSAGE", "MESSAGE_ID", "PRIORITY", "MCTL_EVENT", "MCTL_CONTAINER_NAME", "MCTL_CONTAINER_ID", "MCTL_OWNER_UID",
    "MCTL_MAIN_PID", "MCTL_RESTARTS", "MCTL_EXIT_HOW", "MCTL_EXIT_STATUS", "MCTL_LASTED_USEC", "MCTL_WHY",
    "MCTL_HEALTH", "MCTL_CHECK_STATUS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Times in microseconds since the epoch; output as journalctl's --output."""

    follow: bool = False
    lines: int | None = None
    since_usec: int | None = None
    until_usec: int | None = None
    output: str = "cat"
    priority: int | None = None  # and more urgent ones, syslog(3)
    broken: bool = False  # only pieces of lines that were too long for journald
    after_cursor: str = ""  # of journalctl
    fields: tuple[str, ...] = ()  # only these, where the output has fields


@dataclass(frozen=True, slots=True)
class EventQuery:
    """owner_uid None: of everybody's containers. Without names: of all of them."""

    log: LogQuery
    owner_uid: int | None = None
    names: tuple[str, ...] = ()


def labels(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Those that the label mctl.log-labels names, as fields of each line."""
    known = dict(given)
    wanted = [key.strip() for key in known.get(CHOICE, "").split(",")]
    names = {key: "CONTAINER_LABEL_" + re.sub("[^A-Z0-9]", "_", key.upper()) for key in wanted if key in known}
    return {name[:FIELD_MAX]: known[key] for key, name in names.items()}


def arguments(query: LogQuery, identity: str) -> list[str]:
    """Root alone may make CONTAINER_ID lines in a unit of ours: a forged field from elsewhere does not match."""
    broken = ["_LINE_BREAK=line-max"] if query.broken else []
    return [*_options(query), *broken, f"CONTAINER_ID={identity}"]


def last_of(query: LogQuery) -> LogQuery:
    """For the last entry: journalctl of systemd 252 counts lines from a time or a cursor on, not from the end."""
    found = replace(query, follow=False, lines=1, since_usec=None, until_usec=None, after_cursor="")
    return replace(found, output="export", fields=("PRIORITY",))


def event_arguments(query: EventQuery) -> list[str]:
    """Of our own unit alone: everybody may write entries with these fields, but not with that one."""
    found = [*_options(query.log), f"--output-fields={','.join(EVENT_FIELDS)}", "_SYSTEMD_UNIT=mctld.service"]
    found += [f"MESSAGE_ID={message.hex}" for message in supervise.EVENTS]
    found += [f"MCTL_CONTAINER_NAME={name}" for name in query.names]
    return found if query.owner_uid is None else [*found, f"MCTL_OWNER_UID={query.owner_uid}"]


def _options(query: LogQuery) -> list[str]:
    found = ["journalctl", "--quiet", "--no-pager", "--all", f"--output={query.output}"]
    if query.follow:
        found.append("--follow")
    if query.lines is not None:
        found.append(f"--lines={query.lines}")
    elif query.follow:
        found.append("--lines=all")
    found += [f"--since={_stamp(query.since_usec)}"] if query.since_usec is not None else []
    found += [f"--until={_stamp(query.until_usec)}"] if query.until_usec is not None else []
    found += [f"--priority={query.priority}"] if query.priority is not None else []
    found += [f"--after-cursor={query.after_cursor}"] if query.after_cursor else []
    found += [f"--output-fields={','.join(query.fields)}"] if query.fields else []
    return found


def _stamp(usec: int) -> str:
    return f"@{usec // 1_000_000}.{usec % 1_000_000:06d}"


class LogReaders:
    """journalctl processes, each until its reader closes the pipe or the lines end."""

    def __init__(self, followers: Followers, journals: Journals) -> None:
        self.followers = followers
        self._journals = journals
        self._running: dict[int, int] = {}  # of each user

    def open(self, query: LogQuery, container: Supervised, *, reader_uid: int) -> int:
        """The reading end of a pipe; the caller owns it."""
        return self._open(self._command(query, container), reader_uid)

    def open_events(self, query: EventQuery, *, reader_uid: int) -> int:
        """As open(): a JSON object a line."""
        return self._open(event_arguments(query), reader_uid)

    def follow(self, query: LogQuery, container: Supervised, *, reader_uid: int) -> tuple[int, int]:
        """As open(), and a pipe that brings a line when the log is complete: the last entry's cursor, if any."""
        command = self._command(replace(query, follow=True), container)
        end, told = os.pipe2(os.O_CLOEXEC)
        follower = Follower(self._command(last_of(query), container), query.since_usec or 0, told)
        try:
            log = self._open(command, reader_uid, lambda: self.followers.leave(container.id, follower))
        except BaseException:
            os.close(end)
            follower.close()
            raise
        self.followers.admit(container, follower)
        return log, end

    def _command(self, query: LogQuery, container: Supervised) -> list[str]:
        """Of all that it may have run in, from wherever its lines have gone."""
        where = self._journals.read_by(container.owner_uid)
        where += [f"_SYSTEMD_UNIT={unit}" for unit in (*units(container.record), EPILOGUE)]
        return [*arguments(query, container.id), *where]

    def _open(self, command: list[str], reader_uid: int, left: Callable[[], None] = lambda: None) -> int:
        """Each is a process of root's, so nobody may have many."""
        if self._running.get(reader_uid, 0) >= READERS_PER_USER:
            raise LimitsExceeded(f"user {reader_uid} reads {READERS_PER_USER} logs already: close one")
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.DEVNULL)
        except OSError as error:
            os.close(reader)
            raise MctlError(f"journalctl cannot be executed: {error.strerror}") from error
        finally:
            os.close(writer)
        try:
            self._watch(process, reader_uid, left)
        except OSError as error:
            os.close(reader)
            process.kill()
            process.wait()
            raise MctlError(f"journalctl cannot be watched: {error.strerror}") from error
        return reader

    def _watch(self, process: subprocess.Popen[bytes], reader_uid: int, left: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        pidfd = os.pidfd_open(process.pid)

        def ended() -> None:
            loop.remove_reader(pidfd)
            os.close(pidfd)
            process.wait()
            self._running[reader_uid] -= 1
            left()

        self._running[reader_uid] = self._running.get(reader_uid, 0) + 1
        loop.add_reader(pidfd, ended)
