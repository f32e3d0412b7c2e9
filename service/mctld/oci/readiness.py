# SPDX-License-Identifier: GPL-3.0-or-later
"""NOTIFY_SOCKET: what a container says by sd_notify(3) goes on to the service manager that has started us.

Only READY=1, once, as with runc; whatever else is sent afterwards finds nobody who listens, and nobody waits. A bundle
that has a socket of its own, as podman's have, keeps it.
"""

from __future__ import annotations

import os
import select
import socket

from ..errors import InvalidArgs, SetupFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .configuration import Configuration
    from .state import Entry

VARIABLE = "NOTIFY_SOCKET"
INSIDE, NAME = "/run/notify", "notify.sock"
OPTIONS = ["bind", "ro", "nosuid", "nodev", "noexec"]
MESSAGE_MAX = 4096
HEARD_WITHIN = 5000  # milliseconds for the manager to take note


def manager() -> str | None:
    """The address of the one who started us, unix(7); None where nobody wants to know."""
    given = os.environ.get(VARIABLE, "")
    if given and given[0] not in "/@":
        raise InvalidArgs(f"{VARIABLE}={given!r} must be an absolute path, or @ and the name of an abstract socket")
    return "\0" + given[1:] if given.startswith("@") else given or None


def is_for_us(asked: Configuration) -> bool:
    """Where somebody wants to know, and the bundle has not seen to it already."""
    return bool(manager() and asked.process and VARIABLE not in dict(asked.process.environment))


def extended(asked: Configuration, directory: str) -> Configuration:
    """With the directory that the socket will be in."""
    from . import configuration, mounts
    from .process import Process
    from .reading import Value

    assert asked.process
    wanted = {"destination": INSIDE, "type": "bind", "source": directory, "options": OPTIONS}
    process = asked.process.__dict__
    variables = (*asked.process.environment, (VARIABLE, f"{INSIDE}/{NAME}"))
    added = {
        "mounts": (*asked.mounts, mounts.read(Value(wanted, VARIABLE), directory)),
        "process": Process(**{**process, "environment": variables}),
    }
    return configuration.Configuration(**{**asked.__dict__, **added})


class Readiness:
    """Of one container, whose first process is `pid`."""

    def __init__(self, listener: socket.socket, address: str, pid: int) -> None:
        self._listener, self._address, self._pid = listener, address, pid

    def fileno(self) -> int:
        return self._listener.fileno()

    def close(self) -> None:
        self._listener.close()

    def hear(self, *, leaving: bool = False) -> bool:
        """Whether it is ready now; then the manager knows. leaving: its process is the service's, for we go."""
        message = self._listener.recv(MESSAGE_MAX)  # descriptors that came along are closed by the kernel
        if b"READY=1" not in message.split(b"\n"):
            return False
        self.close()
        tell(self._address, f"MAINPID={self._pid}\nREADY=1" if leaving else "READY=1")
        return True

    def await_ready(self, *, leaving: bool = False) -> None:
        """Or the end of the process: then nobody is left to say so."""
        try:
            ended = os.pidfd_open(self._pid)
        except ProcessLookupError:
            return
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(self, select.POLLIN)
        try:
            while self.fileno() in dict(poll.poll()):
                if self.hear(leaving=leaving):
                    return
        finally:
            os.close(ended)


def listen(entry: Entry, pid: int) -> Readiness | None:
    """By the container's directory that create has made, if the one who started us wants to know."""
    address = manager()
    if address is None or not os.path.isdir(entry.announcements):
        return None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    directory = os.open(entry.announcements, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        place = f"/proc/self/fd/{directory}/{NAME}"
        listener.bind(place)
        os.chmod(place, 0o777)  # any user inside may speak
    except OSError as error:
        listener.close()
        raise SetupFailed(f"listen at {entry.announcements}/{NAME}", error.strerror) from error
    finally:
        os.close(directory)
    return Readiness(listener, address, pid)


def tell(address: str, message: str) -> None:
    """Returns when the manager has taken note, sd_notify_barrier(3), for it may forget senders that have ended."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(address)
            sender.send(message.encode())
            socket.send_fds(sender, [b"BARRIER=1"], [writing])
    except OSError as error:
        raise SetupFailed(f"tell {VARIABLE} that the container is ready", error.strerror) from error
    finally:
        os.close(writing)
    poll = select.poll()
    poll.register(reading, 0)  # POLLHUP is always told
    poll.poll(HEARD_WITHIN)
    os.close(reading)
