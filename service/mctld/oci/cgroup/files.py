# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a cgroup: limits, processes, freezing and killing (Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

import errno
import os
import select
import time

from ...errors import ADVICE, SetupFailed
from .place import HIERARCHY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MAXIMUM = "max"  # in files of limits: none
GONE = (errno.ENOENT, errno.ENODEV)  # ENODEV: an open file of a cgroup that has been removed
EMPTY_WITHIN = 10.0  # seconds after the last kill
FROZEN_WITHIN = 10.0
UNMANAGED = ("hugetlb", "rdma", "misc")  # controllers that PID 1 neither enables nor disables


def read(directory: str, name: str) -> str:
    with open(f"{directory}/{name}", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def write(directory: str, name: str, text: str) -> None:
    descriptor = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def apply(directory: str, limits: Iterable[tuple[str, str]]) -> None:
    """SetupFailed for a limit that the host cannot enforce; "no limit" needs nobody."""
    for name, text in limits:
        try:
            _limit(directory, name, text)
        except FileNotFoundError as error:
            if text == MAXIMUM:
                continue
            why = f"this cgroup has no {name}: its controller is not there or not enabled; {ADVICE}"
            raise SetupFailed(f"set {name} to {text}", why) from error
        except OSError as error:
            raise SetupFailed(f"set {name} to {text}", error.strerror) from error


def _limit(directory: str, name: str, text: str) -> None:
    try:
        write(directory, name, text)
    except FileNotFoundError:
        controller = name.partition(".")[0]
        if text == MAXIMUM or controller not in UNMANAGED:
            raise
        above = HIERARCHY
        for part in directory.removeprefix(HIERARCHY).strip("/").split("/"):
            _enable(above, (controller,))
            above = f"{above}/{part}"
        write(directory, name, text)


def make(path: str) -> str:
    """The cgroup and those above it, with every controller that there is enabled on the way."""
    above = HIERARCHY
    for part in path.strip("/").split("/"):
        _enable(above)
        above = f"{above}/{part}"
        try:
            os.mkdir(above, 0o755)
        except FileExistsError:
            pass
        except OSError as error:
            raise SetupFailed(f"make the cgroup {above}", error.strerror) from error
    if read(above, "cgroup.procs"):
        raise SetupFailed(f"use the cgroup {above}", "it has processes already")
    return above


def _enable(directory: str, wanted: Collection[str] = ()) -> None:
    """Those, or all. One by one: what a cgroup with processes or a kernel refuses is missed only where a limit asks
    for it."""
    enabled = read(directory, "cgroup.subtree_control").split()
    for name in read(directory, "cgroup.controllers").split():
        if name not in enabled and (not wanted or name in wanted):
            try:
                write(directory, "cgroup.subtree_control", f"+{name}")
            except OSError:
                continue


def attach(directory: str, pid: int) -> None:
    try:
        write(directory, "cgroup.procs", str(pid))
    except OSError as error:
        raise SetupFailed(f"move the container's process into {directory}", error.strerror) from error


def processes(directory: str) -> list[int]:
    """Of the cgroup and all below."""
    found: list[int] = []
    for place, _, _ in os.walk(directory):
        try:
            found += [int(pid) for pid in read(place, "cgroup.procs").split()]
        except OSError as error:
            if error.errno not in GONE:
                raise
    return found


def is_frozen(directory: str) -> bool:
    try:
        return read(directory, "cgroup.freeze").strip() == "1"
    except FileNotFoundError:
        return False


def freeze(directory: str, *, frozen: bool) -> None:
    """Returns when the kernel has frozen every process."""
    try:
        write(directory, "cgroup.freeze", "1" if frozen else "0")
        reached = await_event(directory, "frozen", "1" if frozen else "0", FROZEN_WITHIN)
    except OSError as error:
        raise SetupFailed("freeze the container" if frozen else "thaw the container", error.strerror) from error
    if not reached:
        raise SetupFailed("freeze the container", f"its processes did not stop within {FROZEN_WITHIN:.0f} s")


def await_event(directory: str, key: str, wanted: str, seconds: float) -> bool:
    """Whether `key` of cgroup.events becomes that in time; a change of the file is POLLPRI."""
    deadline = time.monotonic() + seconds
    events = os.open(f"{directory}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    try:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while True:  # ENODEV once the cgroup is gone, where a file object would say that it cannot be sought in
            if f"{key} {wanted}" in os.pread(events, 4096, 0).decode().splitlines():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poll.poll(left * 1000)
    finally:
        os.close(events)


def is_emptied(directory: str) -> bool:
    """Whether all processes are gone soon; the cgroup may be gone with them."""
    try:
        return await_event(directory, "populated", "0", EMPTY_WITHIN)
    except OSError as error:
        if error.errno in GONE:
            return True
        raise


def kill_all(directory: str) -> None:
    """Every process of it and of all below, cgroup.kill of Linux 5.14; nothing where it is gone."""
    try:
        write(directory, "cgroup.kill", "1")
    except OSError as error:
        if error.errno in GONE:
            return
        raise SetupFailed(f"kill the processes of {directory}", error.strerror) from error


def signal_all(directory: str, number: int) -> None:
    for pid in processes(directory):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def remove(directory: str) -> None:
    """It and all below, once it is empty."""
    try:
        if not is_emptied(directory):
            raise SetupFailed(
                f"remove the cgroup {directory}", f"it has processes {EMPTY_WITHIN:.0f} s after they were killed"
            )
        for place, _, _ in os.walk(directory, topdown=False):
            os.rmdir(place)
    except OSError as error:
        if error.errno not in GONE:
            raise SetupFailed(f"remove the cgroup {directory}", error.strerror) from error
