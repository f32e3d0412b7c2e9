# SPDX-License-Identifier: GPL-3.0-or-later
"""From a blocked child in fresh namespaces to the payload's first instruction.

The stage executes a plan: a list of steps, each an operation with plain arguments. Resources reach it as
descriptors by name; it opens no path of the host but the device nodes. One message comes down the channel, and one
byte that opens the gate. Up goes, in the form of the message down, what a step has made for the service, if any; and
then nothing but the one step that failed. The channel is close-on-exec: end of file means executed.

Light on purpose: it runs in a fork of the spawner, which imports nothing else of ours.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket

from . import capabilities, credentials, filesystems, identity, masks, plainjson, programs, terminal
from .seccomp import loading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Operation = Callable[..., None]

DESCRIPTORS_MAX = 253  # SCM_MAX_FD, unix(7)
TEXT_MAX = 4096
EXIT_SETUP_FAILED = 125

GATE = "gate"

OPERATIONS: Mapping[str, Operation] = {
    "join": identity.join_namespaces,
    "own-credentials": identity.become_root,
    GATE: programs.wait_at_gate,
    "cgroup-namespace": identity.enter_cgroup_namespace,
    "hostname": identity.set_hostname,
    "loopback": identity.raise_loopback,
    "root": filesystems.attach_root,
    "filesystem": filesystems.mount_filesystem,
    "device": filesystems.bind_device,
    "symlink": filesystems.make_symlink,
    "bind": filesystems.bind,
    "sysctl": filesystems.set_sysctl,
    "read-only-paths": masks.make_read_only,
    "masked-paths": masks.hide,
    "read-only-root": filesystems.make_root_read_only,
    "pivot": filesystems.pivot,
    "terminal": terminal.open_terminal,
    "controlling-terminal": terminal.take_terminal,
    "stdio": programs.set_stdio,
    "fresh-process": programs.reset_inherited,
    "credentials": credentials.give,
    "sockets": programs.place_sockets,
    "bounding-set": capabilities.limit_bounding_set,
    "keyring": identity.join_session_keyring,
    "user": identity.become_user,
    "capabilities": capabilities.set_capabilities,
    "no-new-privileges": capabilities.forbid_new_privileges,
    "working-directory": programs.enter_directory,
    "program": programs.find_program,
    "limits": programs.set_limits,
    "seccomp": loading.load_filter,
    "execute": programs.execute,
}


class Descriptors:
    """What the message down brought, by name, and what steps have found: the program, and its user's home."""

    program = ""
    home = "/"

    def __init__(self, names: list[str], numbers: list[int]) -> None:
        self._numbers = dict(zip(names, numbers, strict=True))

    def __getitem__(self, name: str) -> int:
        return self._numbers[name]

    def keep(self, name: str, number: int) -> None:
        """For a later step."""
        self._numbers[name] = number

    def make_room(self, first: int, count: int) -> None:
        """So that nothing of ours has one of these numbers."""
        for name, number in self._numbers.items():
            if first <= number < first + count:
                self._numbers[name] = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, first + count)

    def hand_up(self, name: str, number: int) -> None:
        """To the one who sent the plan, who reads it with the answer."""
        with socket.socket(fileno=os.dup(self["channel"])) as channel:
            socket.send_fds(channel, [plainjson.dumps({"descriptors": [name]}).encode()], [number])

    @property
    def root(self) -> int:
        """The container's: what is to become /, or, where a running one has been joined, is it already."""
        if "root" not in self._numbers:
            self._numbers["root"] = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._numbers["root"]


def receive(channel: socket.socket) -> tuple[list[dict[str, Any]], Descriptors] | None:
    """The plan, or None when the one who asked is gone."""
    message, numbers, _, _ = socket.recv_fds(channel, 4096, DESCRIPTORS_MAX)
    if not message:
        return None
    names = plainjson.loads(message)["descriptors"]
    descriptors = Descriptors([*names, "channel"], [*numbers, channel.fileno()])
    with os.fdopen(os.dup(descriptors["plan"]), "rb") as plan:
        return plainjson.loads(plan.read()), descriptors


def run(channel: socket.socket, operations: Mapping[str, Operation] = OPERATIONS) -> None:
    """Never returns: executes the payload or ends the process."""
    try:
        received = receive(channel)
        if received is not None:
            execute(*received, operations)
    finally:
        os._exit(EXIT_SETUP_FAILED)


def execute(
    plan: list[dict[str, Any]], descriptors: Descriptors, operations: Mapping[str, Operation] = OPERATIONS
) -> None:
    done = 0
    try:
        for step in plan:
            operations[step["operation"]](descriptors, **step["arguments"])
            done += 1
    except BaseException as error:  # whatever it is, the daemon has to learn of it
        channel = socket.socket(fileno=descriptors["channel"])
        if GATE in (step["operation"] for step in plan[done:]):
            channel.recv(1)  # left unread it would make the answer unreadable: unix(7), ECONNRESET
        channel.send(plainjson.dumps(failure(plan[done], error)).encode())
        channel.detach()


def failure(step: dict[str, Any], error: BaseException) -> dict[str, Any]:
    number = error.errno if isinstance(error, OSError) else None
    return {
        "operation": step["operation"],
        "does": step["does"][:TEXT_MAX],
        "errno": number,
        "error": errno.errorcode.get(number, "") if number else type(error).__name__,
        "text": sentence(error)[:TEXT_MAX],
    }


def sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        where = f" ({error.filename!r})" if error.filename else ""
        return f"{error.strerror}{where}"
    return f"{type(error).__name__}: {error}"
