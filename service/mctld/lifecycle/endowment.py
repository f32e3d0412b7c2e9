# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container gets at one start: a socket for sd_notify(3), and of its unit the sockets and credentials.

PID 1 hands these two to the command that asks us for the start (ExecStart= of mctl@.service), which has no use for
them: from there they are taken. sd_listen_fds(3); systemd.exec(5), LoadCredential=.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from ..errors import SetupFailed
from ..runtime import credentials, given, notification
from ..runtime.given import Given
from ..runtime.launcher import Launcher
from ..spec import BY_ITSELF
from . import vault

if TYPE_CHECKING:
    import socket

    from ..store import Record
    from .place import Place

SOCKETS_MAX = 128
CREDENTIALS_MAX = 1 << 20  # bytes in all, as systemd has it


class Endowment:
    """Of one start. Whoever has it made closes it."""

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}
        self.descriptors: dict[str, int] = {}
        self.credentials: dict[str, bytes] = {}  # of the unit
        self.sockets = 0
        self.channel: socket.socket | None = None  # where the payload is heard
        self.place = ""  # its name, which goes with the start

    @property
    def given(self) -> Given:
        return Given(
            self.environment, given.CREDENTIALS in self.descriptors, given.NOTIFY in self.descriptors, self.sockets
        )

    def take_channel(self) -> socket.socket | None:
        """The caller's from now on."""
        taken, self.channel = self.channel, None
        return taken

    def close(self) -> None:
        if self.place:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.place)
        if self.channel is not None:
            self.channel.close()
        while self.descriptors:
            os.close(self.descriptors.popitem()[1])


def listen(record: Record, directory: str, made: Endowment) -> None:
    """Where the payload is to say itself when it is ready. directory: for a moment's use, and root's alone."""
    if record.spec.sd_notify != BY_ITSELF:
        return
    made.place = f"{directory}/{record.id}{notification.SUFFIX}"
    try:
        made.channel, shown = notification.open_socket(made.place)
    except OSError as error:
        raise SetupFailed("open a socket for sd_notify", error.strerror or error) from error
    made.descriptors[given.NOTIFY] = shown


def of_unit(record: Record, place: Place, made: Endowment) -> None:
    """Fills `made` from the process whose end PID 1 waits for. Blocks while small files are read."""
    try:
        with Launcher(place.launcher, place.control_group) as launcher:
            told = launcher.environment()
            _take_sockets(record, launcher, told, made)
            _take_watchdog(record, told, made)
            if directory := told.get("CREDENTIALS_DIRECTORY"):
                _take_credentials(launcher.path(directory), made)
    except OSError as error:
        raise SetupFailed("take over what the unit gives to the container", error.strerror or error) from error


def _take_sockets(record: Record, launcher: Launcher, told: dict[str, str], made: Endowment) -> None:
    count = int(told.get("LISTEN_FDS", "0"))
    if count > SOCKETS_MAX:
        raise SetupFailed("pass sockets on", f"the unit has {count}: the most is {SOCKETS_MAX}")
    for number in range(count):
        made.descriptors[given.socket_name(number)] = launcher.take_socket(number)
    made.sockets = count
    if count:
        names = told.get("LISTEN_FDNAMES", "")
        made.environment |= {"LISTEN_FDS": str(count), "LISTEN_PID": _first(record), "LISTEN_FDNAMES": names}


def _take_watchdog(record: Record, told: dict[str, str], made: Endowment) -> None:
    """WatchdogSec= of the unit: PID 1 waits for signs of life."""
    if "WATCHDOG_USEC" not in told:
        return
    if record.spec.sd_notify != BY_ITSELF:
        why = "that is for containers that are made with --sdnotify container: nobody else would feed the watchdog"
        raise SetupFailed("start it with WatchdogSec= of its unit", why)
    made.environment |= {"WATCHDOG_USEC": told["WATCHDOG_USEC"], "WATCHDOG_PID": _first(record)}


def _first(record: Record) -> str:
    """The pid of the command inside: what a reaper begins with is the command."""
    return "2" if record.spec.init else "1"


def show_credentials(record: Record, directory: str, made: Endowment) -> None:
    """Its own and those of its unit, whose word is the later one. directory: of what is the container's on disk."""
    try:
        contents = {**vault.read(directory, record.spec.credentials), **made.credentials}
        if contents:
            made.descriptors[given.CREDENTIALS] = credentials.make(contents, record.uid_shift)
            made.environment["CREDENTIALS_DIRECTORY"] = given.CREDENTIALS_DIRECTORY
    except OSError as error:
        raise SetupFailed("give credentials to the container", f"{error.strerror} ({error.filename})") from error


def _take_credentials(directory: str, made: Endowment) -> None:
    room = CREDENTIALS_MAX
    for name in sorted(os.listdir(directory)):
        made.credentials[name] = content = _read(f"{directory}/{name}", room)
        room -= len(content)


def _read(path: str, most: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SetupFailed("pass credentials on", f"{os.path.basename(path)!r} is not a file")
        content = file.read(most + 1)
    if len(content) > most:
        raise SetupFailed("pass credentials on", f"they have more than {CREDENTIALS_MAX} bytes in all")
    return content
