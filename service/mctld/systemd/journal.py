# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal as the owner of every line a container prints.

journald reads, for any unit, extra fields and rate limits that PID 1 leaves below /run/systemd/units; we leave
them there for our scopes. A stream that root opens may name its unit: lines of processes that are gone before
journald looks at their cgroup keep their unit and with it their fields. Verified on systemd 252 and 257.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from typing import TYPE_CHECKING

from . import namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

STREAM_SOCKET = "/run/systemd/journal/stdout"
VARLINK_SOCKET = "/run/systemd/journal/io.systemd.journal"
UNITS = "/run/systemd/units"
SEND_BUFFER = 8 << 20  # what PID 1 asks for: a payload shall rarely wait for journald
SYNCHRONIZE_TIMEOUT = 30.0  # seconds
OWNER = "CONTAINER_OWNER_UID"  # a field
OURS = ("mctl-", "mctl@")  # how our units' names begin
GATHER = 1.0  # seconds in which more units may end
STDOUT_PRIORITY = 6
STDERR_PRIORITY = 5  # told apart from stdout, but not blindly an error
_LENGTH = struct.Struct("<Q")
log = logging.getLogger(__name__)

SO_SNDBUFFORCE = 32  # linux/socket.h; socket.SO_SNDBUFFORCE does not exist


def open_stream(identifier: str, unit: str, priority: int, path: str = "") -> socket.socket:
    """A stream whose every line becomes an entry. No `<N>` prefixes: a payload must not print "emerg" everywhere.

    path: of a namespace's, else the host's own journal.
    """
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(0)  # where journald is stuck and its queue is full: EAGAIN at once, connect(2)
        stream.connect(path or STREAM_SOCKET)
        stream.shutdown(socket.SHUT_RD)
        stream.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER)
        level_prefix = to_syslog = to_kmsg = to_console = 0
        header = (identifier, unit, priority, level_prefix, to_syslog, to_kmsg, to_console)
        stream.sendall("".join(f"{line}\n" for line in header).encode())
        stream.settimeout(None)  # as payloads have it
    except OSError:
        stream.close()
        raise
    return stream


def unreachable(path: str = "") -> str:
    """Why journald takes no stream, empty if it does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(0)
        try:
            stream.connect(path or STREAM_SOCKET)
        except OSError as error:
            return error.strerror or str(error)
    return ""


def publish(unit: str, fields: Mapping[str, str]) -> None:
    """Give each line of the unit these fields, and no rate limit, from now on."""
    for limit in ("interval", "burst"):
        _replace(f"{UNITS}/log-rate-limit-{limit}:{unit}", lambda new: os.symlink("0", new))
    records = b"".join(_record(f"{key}={value}".encode()) for key, value in fields.items())
    _replace(f"{UNITS}/log-extra-fields:{unit}", lambda new: _write(new, records))


def withdraw(unit: str) -> None:
    for name in ("log-extra-fields", "log-rate-limit-interval", "log-rate-limit-burst"):
        try:
            os.unlink(f"{UNITS}/{name}:{unit}")
        except FileNotFoundError:
            continue


def published() -> set[str]:
    """The units of ours that publish() has been called for."""
    names = (name.partition(":") for name in os.listdir(UNITS))
    return {unit for kind, _, unit in names if kind == "log-extra-fields" and unit.startswith(OURS)}


def published_fields(unit: str) -> dict[str, str]:
    """What publish() was called with, {} if it was not."""
    try:
        with open(f"{UNITS}/log-extra-fields:{unit}", "rb") as file:
            rest = file.read()
    except FileNotFoundError:
        return {}
    found = {}
    while len(rest) >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(rest)
        key, _, value = rest[_LENGTH.size : _LENGTH.size + length].decode(errors="replace").partition("=")
        found[key] = value
        rest = rest[_LENGTH.size + length :]
    return found


def _record(field: bytes) -> bytes:
    return _LENGTH.pack(len(field)) + field


def _write(path: str, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)


def _replace(path: str, make: Callable[[str], None]) -> None:
    """journald may read at any moment: what it finds must be whole."""
    new = f"{os.path.dirname(path)}/.#{os.path.basename(path)}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    try:
        make(new)
        os.rename(new, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(new)
        error.filename = path  # write(2) knows of none
        raise


async def synchronize(path: str = "") -> None:
    """Returns when journald has taken in all that was written to it before, as journalctl --sync."""
    reader, writer = await asyncio.open_unix_connection(path or VARLINK_SOCKET)
    try:
        writer.write(json.dumps({"method": "io.systemd.Journal.Synchronize"}).encode() + b"\0")
        answer = json.loads((await reader.readuntil(b"\0"))[:-1])
        if "error" in answer:
            raise OSError(f"the journal cannot be synchronized: {answer['error']}")
    finally:
        writer.close()


async def take_in(units: Iterable[str]) -> None:
    """As synchronize(), of every journal that these units may have written to: settings may have changed since."""
    await synchronize()
    if owners := namespace.owners():
        for owner in owners & {int(published_fields(unit).get(OWNER, -1)) for unit in units}:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):  # stopped: nobody is there to drain
                await synchronize(namespace.varlink_socket(owner))


class Retirement:
    """Withdraws the fields of units that have ended, after the journal has drained; many at one go.

    To synchronize is to make journald call fsync(2), which holds up everybody who writes to that disk.
    """

    def __init__(self, still_used: Callable[[str], bool]) -> None:
        self._still_used = still_used
        self._units: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._round: asyncio.Event | None = None  # set when some of them have drained

    async def drained(self, unit: str) -> None:
        """Returns when all that the unit has printed, and whoever was added with it, is in the journal."""
        while unit in self._units:
            self._round = self._round or asyncio.Event()
            await self._round.wait()

    def add(self, units: Iterable[str]) -> None:
        self._units.update(units)
        if self._units and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        pause = GATHER
        try:
            while self._units:
                await asyncio.sleep(pause)
                units = set(self._units)
                try:
                    async with asyncio.timeout(SYNCHRONIZE_TIMEOUT):
                        await take_in(units)
                except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                    level = logging.WARNING if pause == SYNCHRONIZE_TIMEOUT else logging.INFO  # it may only be busy
                    why = str(error) or f"no answer within {SYNCHRONIZE_TIMEOUT:g} seconds"
                    log.log(level, "the journal does not drain, which is tried again: %s", why)
                    pause = min(2 * pause, SYNCHRONIZE_TIMEOUT)
                    continue
                pause = GATHER
                for unit in units:
                    self._units.discard(unit)
                    if not self._still_used(unit):
                        withdraw(unit)
                if self._round:
                    self._round.set()
                    self._round = None
        finally:
            self._task = None
