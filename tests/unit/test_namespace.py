# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose namespace it is that a pid leads to, where the process has ended and another one has that pid by now."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mctld.errors import SetupFailed
from mctld.lifecycle import sharing
from mctld.lifecycle.networks import Networks
from mctld.runtime import launcher, meter, namespace
from mctld.runtime.launch import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN = "/proc/self/ns/net"


@pytest.fixture
def living() -> Iterator[int]:
    """A pidfd."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        pidfd = os.pidfd_open(process.pid)
        yield pidfd
        os.close(pidfd)
        process.kill()


@pytest.fixture
def reaped() -> Iterator[int]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        pidfd = os.pidfd_open(process.pid)
        process.kill()
    yield pidfd
    os.close(pidfd)


@pytest.fixture
def zombie() -> Iterator[int]:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    pidfd = os.pidfd_open(pid)
    yield pidfd
    os.close(pidfd)
    os.waitpid(pid, 0)


@pytest.fixture
def reused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a look at its pid and the next step the process is reaped, and this one here has its pid."""
    monkeypatch.setattr(namespace, "_pid", lambda _: os.getpid())


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_the_namespace_of_a_process_is_opened(living: int) -> None:
    found = namespace.opened(living, "net")
    try:
        assert os.path.samestat(os.fstat(found), os.stat(OWN))
        assert not os.get_inheritable(found)
    finally:
        os.close(found)
    assert namespace.identity(living, "net") == (os.stat(OWN).st_dev, os.stat(OWN).st_ino)


def test_of_what_has_ended_none_is_opened(reaped: int, zombie: int) -> None:
    before = descriptors()
    for process in (reaped, zombie):
        with pytest.raises(OSError, match="No such"):
            namespace.opened(process, "net")
    assert descriptors() == before


@pytest.mark.usefixtures("reused")
def test_that_of_another_process_is_not_taken_for_it(reaped: int) -> None:
    before = descriptors()
    with pytest.raises(ProcessLookupError):
        namespace.opened(reaped, "net")
    with pytest.raises(ProcessLookupError):
        namespace.identity(reaped, "net")
    stage = Stage(os.getpid(), reaped, SimpleNamespace())  # type: ignore[arg-type]
    with pytest.raises(ProcessLookupError):
        stage.open_namespace("user")
    assert descriptors() == before


@pytest.mark.usefixtures("reused")
def test_nothing_is_done_in_the_network_of_another_process(reaped: int) -> None:
    """Whatever a network is changed by goes through this one."""
    done: list[int] = []

    async def change() -> None:
        networks: Any = SimpleNamespace(_room=asyncio.Semaphore(), _opened=lambda: None)
        await Networks._change(networks, "connect", reaped, lambda _, found: done.append(found))

    with pytest.raises(SetupFailed, match="No such process"):
        asyncio.run(change())
    assert not done


@pytest.mark.usefixtures("reused")
def test_who_has_ended_is_with_nobody(living: int, reaped: int) -> None:
    def container(process: int | None) -> Any:
        return SimpleNamespace(lent=lambda: contextlib.nullcontext(process))

    here, gone, idle = container(living), container(reaped), container(None)
    assert sharing._are_together(here, here)
    for one, other in ((here, gone), (gone, here), (here, idle), (idle, idle)):
        assert not sharing._are_together(one, other)


def control_group() -> str:
    with open("/proc/self/cgroup", encoding="ascii") as file:
        return next(line.strip().removeprefix("0::") for line in file if line.startswith("0::"))


def test_no_packets_of_another_process_are_counted() -> None:
    """Whoever has the pid of what was in a container's cgroup is not in that one."""
    counted = meter.Inside(os.getpid(), ("lo",))
    assert len(counted.read(control_group())) == 1
    assert counted.read(f"{control_group().rstrip('/')}/mctl.slice/mctl-web.scope") == []


def test_nothing_is_taken_from_another_process_than_the_unit_has(living: int, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    before = descriptors()
    with launcher.Launcher(os.getpid(), control_group()) as found:
        assert found.environment()["PATH"]
        assert os.listdir(found.path(str(tmp_path))) == ["secret"]
    with pytest.raises(ProcessLookupError):
        launcher.Launcher(os.getpid(), "/mctl.slice/mctl@web.service")
    assert descriptors() == before


def test_nor_where_it_ends_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        opened = os.open

        def end_first(path: str, *args: Any, **how: Any) -> int:
            if path == f"/proc/{process.pid}":
                process.send_signal(signal.SIGKILL)
                process.wait()
                return opened("/proc/self", *args, **how)  # who has its pid now
            return opened(path, *args, **how)

        before = descriptors()
        monkeypatch.setattr(os, "open", end_first)
        with pytest.raises(ProcessLookupError):
            launcher.Launcher(process.pid, control_group())
        assert descriptors() == before
