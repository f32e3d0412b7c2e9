# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptors that must not be closed here, since closing them may take for ever.

close(2) asks a file system in user space to flush, and waits for its answer in a sleep that no signal ends. So a
process that can be lost closes them for us: it shares our table of descriptors (CLONE_FILES), as in systemd's
asynchronous_close(). One more waits for that one, and after a while ends the file system's connection, as root may.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time

from . import filesystem, mount, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONTROL = "/sys/fs/fuse/connections"
GRACE = 10.0  # seconds that a slow one has, such as sshfs
MOST = 32  # of them at a time; beyond, nobody gets any grace
_WALL = 0x40000000  # __WALL: a child that sends no signal at its end is waited for too, wait(2)
_STEP = 0.05
_python = ctypes.pythonapi

_watchers: set[int] = set()


def close(descriptors: Sequence[int]) -> None:
    """Returns at once; the numbers are not ours any more."""
    for pid in tuple(_watchers):
        if os.waitpid(pid, os.WNOHANG | _WALL)[0]:
            _watchers.discard(pid)
    grace = GRACE if len(_watchers) < MOST else 0
    try:
        _watchers.add(_born(lambda: _watch(list(descriptors), grace)))
    except OSError:  # there can be no process: better late than never
        _close(descriptors)


def _born(work: Callable[[], None]) -> int:
    """A process with our descriptors, which does `work` and ends. As fork(2) for the interpreter."""
    _python.PyOS_BeforeFork()
    try:
        pid = process.clone_sharing_descriptors()
    except OSError:
        _python.PyOS_AfterFork_Parent()
        raise
    if pid:
        _python.PyOS_AfterFork_Parent()
        return pid
    status = 1
    try:
        _python.PyOS_AfterFork_Child()
        with contextlib.suppress(ValueError):  # not the main thread's
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the unit is stopped: what is under way takes GRACE at most
        work()
        status = 0
    finally:
        os._exit(status)


def _watch(descriptors: list[int], grace: float) -> None:
    found = map(filesystem.connection, descriptors)
    connections = [number for number in found if number is not None]  # a disk's number may be another's connection
    if not grace:
        _abort(connections)
    closer = _born(lambda: _close(descriptors))
    deadline = time.monotonic() + grace
    while not os.waitpid(closer, os.WNOHANG | _WALL)[0]:
        if time.monotonic() > deadline:
            _abort(connections)
            os.waitpid(closer, _WALL)
            return
        time.sleep(_STEP)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _control() -> int:
    """Where nobody has mounted it, a detached one; in a container of systemd-nspawn's there is not even the place."""
    with contextlib.suppress(FileNotFoundError):
        control = os.open(CONTROL, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if filesystem.kind(control) == "fusectl":
            return control
        os.close(control)
    return mount.new_filesystem("fusectl", {})


def _abort(connections: list[int]) -> None:
    """What waits for their answers gets ECONNABORTED (Documentation/filesystems/fuse.rst)."""
    control = _control()
    for number in connections:
        with contextlib.suppress(OSError):
            abort = os.open(f"{number}/abort", os.O_WRONLY | os.O_CLOEXEC, dir_fd=control)
            os.write(abort, b"1")
            os.close(abort)
    os.close(control)
