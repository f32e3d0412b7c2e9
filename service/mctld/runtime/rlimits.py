# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource limits of processes that run, prlimit(2): of all that a container has, and those they make meanwhile."""

from __future__ import annotations

import os
import resource
import signal
import time
from typing import TYPE_CHECKING

from ..errors import MctlError, SetupFailed
from ..security import RLIMIT_INFINITY
from . import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Pair = tuple[int, int]  # soft and hard
    Identity = tuple[int, str]  # pid and when it began: the kernel gives numbers to others later

CLEAN = 2  # passes in a row that find nothing to do: a child takes the limits a moment before its cgroup shows it
PASSES = 50
FORK_SECONDS = 0.02  # what a fork(2) under way may take, on a busy host, until its child is seen


class RunningLimits:
    """`wanted` by name, for a container's processes, none of which is in `own`, the service's namespace of PIDs.

    usual: what they have begun with, unless they have changed it themselves.
    """

    def __init__(self, control_group: str, wanted: Mapping[str, Pair], usual: Mapping[str, Pair]) -> None:
        self._control_group = control_group
        self._wanted = wanted
        self._usual = {name: usual[name] for name in wanted}
        self._old: frozenset[int] | None = None
        self._before: dict[Identity, dict[str, Pair]] = {}
        self._own = os.stat("/proc/self/ns/pid").st_ino

    def apply(self) -> None:
        """Each process once: what it makes of its limits later is its own affair, as ever. Slow."""
        if self._old is None:
            self._old = frozenset(self._pids())
        left = self._repeat(self._limit)
        if any(map(self._is_beyond, left)):  # else they have only given up more than was asked of them
            raise SetupFailed("limit the processes", "new ones are made faster than they can be limited: stop it first")

    def undo(self) -> None:
        """Each of them has again what it had, and what was born since what is usual. Slow."""
        failures = []
        for identity, before in list(self._before.items()):
            try:
                self._change(identity[0], before, identity)
            except (MctlError, OSError) as error:  # the others still can
                failures.append(error)
        self._repeat(self._put_back)
        if failures:
            raise failures[0]

    def _repeat(self, work: Callable[[int], dict[str, Pair]]) -> list[dict[str, Pair]]:
        """Until nothing is to be done. What was done in the last pass."""
        clean = 0
        done: list[dict[str, Pair]] = []
        for _ in range(PASSES):
            done = [each for each in map(work, self._pids()) if each]
            clean = 0 if done else clean + 1
            if clean == CLEAN:
                break
            if clean:
                time.sleep(FORK_SECONDS)
        return done

    def _pids(self) -> Sequence[int]:
        return processes.pids(self._control_group)

    def _limit(self, pid: int) -> dict[str, Pair]:
        """What it had, if that was something else; empty if nothing had to be done, or it has gone."""
        changed = self._change(pid, self._wanted)
        if changed is None:
            return {}
        identity, had = changed
        found = {name: pair for name, pair in had.items() if pair != self._wanted[name]}
        if not found and pid not in (self._old or ()):
            self._before[identity] = self._usual  # the child of one that had been limited
        return found

    def _put_back(self, pid: int) -> dict[str, Pair]:
        """Of a child that nobody has seen yet."""
        changed = self._change(pid, self._usual, having=self._wanted)
        return changed[1] if changed else {}

    def _change(
        self,
        pid: int,
        wanted: Mapping[str, Pair],
        only: Identity | None = None,
        having: Mapping[str, Pair] | None = None,
    ) -> tuple[Identity, dict[str, Pair]] | None:
        """None where it is done already, is no process of the container's or no more the one that is meant.

        The number is the process's for as long as it has not been reaped, of which its pidfd tells afterwards too.
        having: what has something else keeps it.
        """
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        try:
            identity = self._identity(pid)
            if identity is None or (identity in self._before if only is None else identity != only):
                return None
            signal.pidfd_send_signal(process, 0)
            had: dict[str, Pair] = {}
            if only is None:
                self._before[identity] = had  # from now on, for undo(): the second limit may fail after the first
            for name, pair in wanted.items():
                if having is None or _read(pid, name) == having[name]:
                    had[name] = _exchange(pid, name, pair)
            signal.pidfd_send_signal(process, 0)
            return identity, had
        except OSError as error:
            if error.errno in processes.GONE or _has_gone(process):
                return None
            raise
        finally:
            os.close(process)

    def _identity(self, pid: int) -> Identity | None:
        if os.stat(f"/proc/{pid}/ns/pid").st_ino == self._own:  # whatever it does there: it is the host's
            return None
        began = processes.began(pid, self._control_group)
        return None if began is None else (pid, began)

    def _is_beyond(self, found: Mapping[str, Pair]) -> bool:
        return any(soft > self._wanted[name][0] or hard > self._wanted[name][1] for name, (soft, hard) in found.items())


def _has_gone(process: int) -> bool:
    """Who is reaped just then has a namespace that nobody may look at: EACCES (proc_ns_get_link() of Linux)."""
    try:
        signal.pidfd_send_signal(process, 0)
    except ProcessLookupError:
        return True
    return False


def _read(pid: int, name: str) -> Pair:
    soft, hard = resource.prlimit(pid, getattr(resource, f"RLIMIT_{name}"))
    return _told(soft), _told(hard)


def _exchange(pid: int, name: str, pair: Pair) -> Pair:
    number = getattr(resource, f"RLIMIT_{name}")
    try:
        had = resource.prlimit(pid, number, (_counted(pair[0]), _counted(pair[1])))
    except PermissionError as error:
        most = "unlimited" if pair[1] == RLIMIT_INFINITY else pair[1]
        raise SetupFailed(f"set the limit {name} to {most}", f"{error.strerror}; {_why(name, pair[1])}") from error
    return _told(had[0]), _told(had[1])


def _why(name: str, hard: int) -> str:
    if name == "NOFILE":
        with open("/proc/sys/fs/nr_open", encoding="ascii") as file:
            most = int(file.read())
        if hard > most:
            return f"the most that this kernel allows is fs.nr_open, {most}"
    return "to raise a hard limit takes CAP_SYS_RESOURCE, which the service has not got from this host"


def _counted(value: int) -> int:
    return resource.RLIM_INFINITY if value == RLIMIT_INFINITY else value


def _told(value: int) -> int:
    return RLIMIT_INFINITY if value == resource.RLIM_INFINITY else value
