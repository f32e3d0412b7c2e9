# SPDX-License-Identifier: GPL-3.0-or-later
"""What the payload inherits: session, descriptors, working directory, scheduling."""

from __future__ import annotations

import errno
import fcntl
import os
import signal

from ...kernel import constants as c
from ...kernel import process
from ...runtime import filesystems, programs
from ...runtime.terminal import NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...runtime.stage import Descriptors


def reset_inherited(_: Descriptors, umask: int | None, preserved: int) -> None:
    """A session of its own, no signal ignored or blocked, and no descriptor above the standard ones and `preserved`."""
    os.setsid()
    if umask is not None:
        os.umask(umask)
    for number in range(1, signal.NSIG):  # handlers end with execve(2) by themselves, ignoring does not
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    process.close_on_exec(3 + preserved)
    for descriptor in range(3, 3 + preserved):
        os.set_inheritable(descriptor, True)  # noqa: FBT003


def take_terminal(descriptors: Descriptors, uid: int) -> None:
    """The session that we lead gets it as its controlling terminal and as its standard descriptors."""
    peer = descriptors[NAME]
    os.fchown(peer, uid, -1)
    fcntl.ioctl(peer, c.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(peer, number, inheritable=True)


def enter_directory(descriptors: Descriptors, path: str) -> None:
    """Made where it is missing, as engines expect. As root: a user may work where they may not go by themselves."""
    try:
        programs.enter_directory(descriptors, path)
    except FileNotFoundError:
        os.close(filesystems.open_place(descriptors.root, path, directory=True))
        programs.enter_directory(descriptors, path)


def find_program(descriptors: Descriptors, name: str, path: str) -> None:
    """In words that engines know: they tell 127 and 126 from each other by them."""
    try:
        programs.find_program(descriptors, name, path)
    except FileNotFoundError as error:
        why = "no such file or directory" if "/" in name else "executable file not found in $PATH"
        raise OSError(error.errno, why) from error
    except PermissionError as error:
        raise OSError(errno.EACCES, "permission denied") from error


def set_scheduling(
    _: Descriptors, scheduler: dict[str, Any] | None, io_priority: tuple[int, int] | None, personality: int | None
) -> None:
    if scheduler:
        nice = os.getpriority(os.PRIO_PROCESS, 0) if scheduler["nice"] is None else scheduler["nice"]
        runtime, deadline, period = scheduler["times"]
        process.set_scheduling(
            scheduler["policy"], scheduler["flags"], nice, scheduler["priority"], runtime, deadline, period
        )
    if io_priority:
        process.set_io_priority(*io_priority)
    if personality is not None:
        process.set_personality(personality)


def set_domainname(_: Descriptors, name: str) -> None:
    process.set_domainname(name)
