# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom the spawner is the parent of, by the names that mctld gave them, and how they ended."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Children:
    """A container's first process that has ended stays a zombie until mctld has taken note: the kernel keeps its
    status, its pid cannot be given to another, and its last lines can still be attributed to it.

    A process that joined a container is reaped at once, since the kernel lets a PID namespace end only when nobody
    in it is left, zombies included (zap_pid_ns_processes in kernel/pid_namespace.c): the container would wait for
    mctld. Its status is kept here.
    """

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}
        self._notes: dict[str, Any] = {}  # of those that joined: what mctld wants to be reminded of
        self._ended: dict[str, dict[str, Any]] = {}  # those that joined and are reaped
        self._held: set[int] = set()  # zombies, forgotten already, that a debugger in the container has not let go

    def add(self, name: str, pid: int) -> None:
        self.forget(name)
        self._pids[name] = pid

    def add_joined(self, name: str, pid: int, note: Any) -> None:
        self.add(name, pid)
        self._notes[name] = note

    def status(self, name: str) -> dict[str, Any]:
        """{} for a name never heard of; else its pid and, once it has ended, a code of waitid(2)."""
        if name in self._ended:
            return self._ended[name]
        pid = self._pids.get(name)
        if pid is None:
            return {}
        found = {"pid": pid, "note": self._notes[name]} if name in self._notes else {"pid": pid}
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended:
            return {**found, "code": ended.si_code, "status": ended.si_status}
        return {**found, **_held_back(pid)} if name in self._notes else found

    def reap_joined(self) -> None:
        for name in [name for name in self._notes if name not in self._ended]:
            status = self.status(name)
            if "code" in status and _reap(status["pid"]):
                self._ended[name] = status
        self._held = {pid for pid in self._held if not _reap(pid)}

    def forget(self, name: str) -> None:
        """Reap it, if it has ended; one that runs is not forgotten."""
        if "code" not in self.status(name):
            return
        pid = self._pids.pop(name)
        self._notes.pop(name, None)
        if self._ended.pop(name, None) is None and not _reap(pid):
            self._held.add(pid)

    def pids(self) -> dict[str, int]:
        return dict(self._pids)


def _reap(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def _held_back(pid: int) -> dict[str, Any]:
    """How a zombie has ended that only its tracer may wait for, ptrace(2); {} for a process that runs.

    Nobody in a container can so keep it from being told: its status is in proc(5), though not yet with us.
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        state, *fields = file.read().rpartition(b") ")[2].split()
    if state != b"Z":
        return {}
    status = int(fields[48])  # exit_code, as waitpid(2) gives it
    if os.WIFEXITED(status):
        return {"code": os.CLD_EXITED, "status": os.WEXITSTATUS(status)}
    return {"code": os.CLD_DUMPED if os.WCOREDUMP(status) else os.CLD_KILLED, "status": os.WTERMSIG(status)}
