# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of processes that come and go while they are set."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from mctld.errors import SetupFailed
from mctld.runtime import processes
from mctld.runtime.rlimits import RunningLimits
from mctld.security import RLIMIT_INFINITY

if TYPE_CHECKING:
    from collections.abc import Iterator

CORE = resource.RLIMIT_CORE


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two, as if they were all of a container, in a namespace that is not ours."""
    made = [subprocess.Popen(["sleep", "1000"]) for _ in range(2)]
    monkeypatch.setattr(processes, "pids", lambda _: [child.pid for child in made])
    monkeypatch.setattr(processes, "began", lambda pid, _: str(pid))
    yield made
    for child in made:
        child.kill()
        child.wait()


def running(**wanted: tuple[int, int]) -> RunningLimits:
    made = RunningLimits("", wanted, wanted)
    made._own = -1
    return made


def refuse_to_show(monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes], *, gone: bool) -> None:
    """What Linux answers about the namespaces of one that is reaped while it is looked at."""
    real = os.stat

    def stat(path: Any, *arguments: Any, **named: Any) -> os.stat_result:
        if path == f"/proc/{child.pid}/ns/pid":
            if gone:
                child.kill()
                child.wait()
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "stat", stat)


def test_one_that_is_reaped_meanwhile_keeps_nobody_from_their_limit(
    children: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_show(monkeypatch, children[0], gone=True)
    running(CORE=(0, 0)).apply()
    assert resource.prlimit(children[1].pid, CORE) == (0, 0)


def test_one_that_cannot_be_looked_at_is_told_of(
    children: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_show(monkeypatch, children[0], gone=False)
    with pytest.raises(PermissionError):
        running(CORE=(0, 0)).apply()


def test_no_limit_is_told_in_words(
    children: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(resource, "prlimit", refuse)
    with pytest.raises(SetupFailed, match=r"set the limit NOFILE to unlimited: .* fs\.nr_open"):
        running(NOFILE=(RLIMIT_INFINITY, RLIMIT_INFINITY)).apply()
