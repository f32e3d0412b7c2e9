# SPDX-License-Identifier: GPL-3.0-or-later
"""One more process in a container that runs, driven without the daemon. Needs root."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from kernel.driver import IDS, INHERITED, NAMESPACES, conducted, plan, step
from mctld.errors import CommandNotFound, SetupFailed
from mctld.kernel import constants as c
from mctld.kernel import process
from mctld.lifecycle.readiness import readable
from mctld.runtime import capabilities
from mctld.runtime import stage as stage_module
from mctld.runtime.launch import Status
from mctld.runtime.plan import Plan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from mctld.runtime.launch import Spawner, Stage

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces: needs root")

KINDS = ("ipc", "mnt", "net", "pid", "user", "uts", "cgroup")
SEIZE = 0x4206  # PTRACE_SEIZE, linux/ptrace.h
JOIN = step("join", namespaces=(NAMESPACES & ~c.CLONE_NEWPID) | c.CLONE_NEWCGROUP)
KEPT = ["CHOWN", "KILL", "SETPCAP", "SETUID", "SETGID"]
CONFINED = (
    step("fresh-process"),
    step("bounding-set", keep=KEPT, last=capabilities.last()),
    step("capabilities", keep=KEPT, ambient=[], loader=[]),
    step("no-new-privileges"),
    step("working-directory", path="/"),
)
COUNTING = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"  # a while without children, whose signals would stop it
STATUS = (
    "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "SigBlk", "SigIgn", "SigCgt", "Umask", "Uid",
    "Gid", "Groups", "Seccomp",
)  # fmt: skip


@dataclass
class Container:
    """A first process that sleeps, and the cgroup that both shall be in."""

    client: Spawner
    stage: Stage
    cgroup: int

    async def join(self, name: str = "exec:1", *, container: int | None = None) -> Stage:
        pidfd = self.stage.pidfd if container is None else container
        return await self.client.join(name, pidfd, self.cgroup, {"of": "one"}, INHERITED)

    async def execute(self, *command: str, name: str = "exec:1") -> Stage:
        joined = await self.join(name)
        await begin(joined, Plan((JOIN, step("own-credentials"), *CONFINED, *ungated(*command))), self.stage.pidfd)
        return joined


def ungated(*command: str) -> tuple:  # type: ignore[type-arg]
    return tuple(s for s in plan(*command).steps if s.operation != "gate")


async def begin(stage: Stage, work: Plan, container: int, *, gate: bool = False) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    try:
        stage.begin(work, {"stdin": null, "stdout": null, "stderr": null, "container": container})
        await (stage.finish(work) if gate else stage.executed(work))
    finally:
        os.close(null)
        stage.close()


def own_cgroup() -> int:
    """The directory of this process's cgroup: a test makes none on a machine that may not be its own."""
    with open("/proc/self/mountinfo") as file:
        mounted = next(line.split()[4] for line in file if " - cgroup2 " in line)
    with open("/proc/self/cgroup") as file:
        path = next(line[3:].strip() for line in file if line.startswith("0::"))
    return os.open(mounted + path, os.O_PATH | os.O_CLOEXEC)


@contextlib.asynccontextmanager
async def a_container(client: Spawner, *command: str) -> AsyncIterator[Container]:
    stage = await client.spawn("one", NAMESPACES, IDS, INHERITED)
    made = Container(client, stage, own_cgroup())
    try:
        before = (step("own-credentials"), step("hostname", name="inside"), step("cgroup-namespace"), *CONFINED)
        await begin(stage, plan(*(command or ("sleep", "1000")), before=before), stage.pidfd, gate=True)
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(stage.pidfd, signal.SIGKILL)
        try:
            await asyncio.wait_for(readable(stage.pidfd), 5)
            await client.forget("one")
        finally:
            os.close(stage.pidfd)
            os.close(made.cgroup)


async def ended(client: Spawner, joined: Stage, name: str = "exec:1") -> Status:
    await readable(joined.pidfd)
    os.close(joined.pidfd)
    return await client.status(name)


def kill(stage: Stage) -> None:
    signal.pidfd_send_signal(stage.pidfd, signal.SIGKILL)


def status_of(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status") as file:
        found = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    return {name: found[name] for name in STATUS}


def parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def depth_of(pid: int) -> int:
    """PID namespaces, one in the other, that it is in."""
    with open(f"/proc/{pid}/status") as file:
        return next(len(line.split()) for line in file if line.startswith("NSpid:"))


def test_it_is_where_the_first_process_is_and_bound_as_it_is(address: str) -> None:
    async def act(client: Spawner) -> None:
        async with a_container(client) as container:
            joined = await container.execute("sleep", "1000")
            first, second = container.stage.pid, joined.pid
            for kind in KINDS:
                assert os.readlink(f"/proc/{first}/ns/{kind}") == os.readlink(f"/proc/{second}/ns/{kind}"), kind
                assert os.readlink(f"/proc/{first}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind
            assert status_of(first) == status_of(second)
            assert status_of(second)["CapEff"] == f"{capabilities.mask(KEPT):016x}"
            for name in ("root", "cwd"):
                assert os.stat(f"/proc/{first}/{name}") == os.stat(f"/proc/{second}/{name}")
            for name in ("oom_score_adj", "limits", "cgroup"):
                texts = [open(f"/proc/{pid}/{name}").read() for pid in (first, second)]  # noqa: SIM115
                assert texts[0] == texts[1], name
            assert sorted(os.listdir(f"/proc/{second}/fd")) == ["0", "1", "2"]
            assert parent_of(first) == parent_of(second)  # the spawner
            kill(joined)
            assert (await ended(client, joined)).status == signal.SIGKILL

    conducted(address, act)


def test_a_status_waits_until_it_is_forgotten_and_no_zombie_with_it(address: str) -> None:
    async def act(client: Spawner) -> None:
        async with a_container(client) as container:
            joined = await container.execute("sh", "-c", "exit 7")
            status = await ended(client, joined)
            assert status == Status(joined.pid, os.CLD_EXITED, 7, {"of": "one"})
            while os.path.exists(f"/proc/{joined.pid}"):
                await asyncio.sleep(0.01)
            assert await client.status("exec:1") == status
            assert set(await client.connect()) == {"one", "exec:1"}
            await client.forget("exec:1")
            assert await client.status("exec:1") == Status()
            assert set(await client.connect()) == {"one"}

    conducted(address, act)


def test_one_that_runs_is_not_forgotten(address: str) -> None:
    async def act(client: Spawner) -> None:
        async with a_container(client) as container:
            joined = await container.execute("sleep", "1000")
            await client.forget("exec:1")
            assert await client.status("exec:1") == Status(joined.pid, note={"of": "one"})
            kill(joined)
            assert (await ended(client, joined)).code == os.CLD_KILLED

    conducted(address, act)


def test_it_ends_with_the_container_which_waits_for_nobody(address: str) -> None:
    """Without a reaper for the second, the kernel would keep the first from ending: nobody here acknowledges."""

    async def act(client: Spawner) -> None:
        async with a_container(client) as container:
            joined = await container.execute("sleep", "1000")
            kill(container.stage)
            await asyncio.wait_for(readable(container.stage.pidfd), 5)
            assert (await ended(client, joined)).status == signal.SIGKILL

    conducted(address, act)


@contextlib.contextmanager
def traced_by_somebody(target: int) -> Iterator[None]:
    """A process is attached to `target` and never asks what has become of it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).ptrace(SEIZE, target, None, None)
            os.write(writing, b"x")
            signal.pause()
        finally:
            os._exit(0)
    try:
        os.read(reading, 1)
        yield
    finally:
        os.close(reading)
        os.close(writing)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("command", "code", "number"),
    [("kill -9 $$", os.CLD_KILLED, 9), ("exit 7", os.CLD_EXITED, 7), ("exit 0", os.CLD_EXITED, 0)],
)
def test_a_tracer_keeps_no_status_back(address: str, command: str, code: int, number: int) -> None:
    """A zombie belongs to its tracer first, ptrace(2)."""

    async def act(client: Spawner) -> None:
        async with a_container(client) as container:
            joined = await container.execute("sh", "-c", f"{COUNTING}; {command}")
            with traced_by_somebody(joined.pid):
                status = await ended(client, joined)
                assert (status.code, status.status) == (code, number)
                assert os.path.exists(f"/proc/{joined.pid}")
                await client.forget("exec:1")
                assert set(await client.connect()) == {"one"}
            while os.path.exists(f"/proc/{joined.pid}"):
                await asyncio.sleep(0.01)

    conducted(address, act)


def test_a_container_that_has_ended_cannot_be_joined(address: str) -> None:
    async def act(client: Spawner) -> None:
        async with a_container(client) as container:
            kill(container.stage)
            await readable(container.stage.pidfd)
            with pytest.raises(SetupFailed, match="could not join a process: setns: No such process"):
                await container.join()
            assert set(await client.connect()) == {"one"}

    conducted(address, act)


def test_the_spawner_stays_where_it_is(address: str) -> None:
    """It shows its next child the way into the container. The one after that has nothing to do there, nor has a failure
    left it on the way."""

    async def act(client: Spawner) -> None:
        async with a_container(client) as container:
            spawner = parent_of(container.stage.pid)
            assert spawner != os.getpid()
            joined = await container.execute("sleep", "1000")
            assert os.readlink(f"/proc/{spawner}/ns/pid_for_children") == os.readlink("/proc/self/ns/pid")
            kill(joined)
            await ended(client, joined)
            os.close(container.cgroup)
            container.cgroup = os.open("/", os.O_PATH)
            with pytest.raises(SetupFailed, match="clone3"):
                await container.join()
            assert os.readlink(f"/proc/{spawner}/ns/pid_for_children") == os.readlink("/proc/self/ns/pid")
            other = await client.spawn("two", NAMESPACES, IDS, INHERITED)
            assert depth_of(other.pid) == depth_of(container.stage.pid)
            other.close()
            await readable(other.pidfd)
            os.close(other.pidfd)
            await client.forget("two")

    conducted(address, act)


def test_what_is_no_cgroup_is_refused(address: str) -> None:
    async def act(client: Spawner) -> None:
        async with a_container(client) as container:
            os.close(container.cgroup)
            container.cgroup = os.open("/", os.O_PATH)
            with pytest.raises(SetupFailed, match="clone3"):
                await container.join()
            assert set(await client.connect()) == {"one"}

    conducted(address, act)


def test_one_whose_asker_is_gone_ends(address: str) -> None:
    async def act(client: Spawner) -> None:
        async with a_container(client) as container:
            joined = await container.join()
            joined.close()
            status = await ended(client, joined)
            assert (status.code, status.status) == (os.CLD_EXITED, stage_module.EXIT_SETUP_FAILED)

    conducted(address, act)


def test_a_failure_names_its_step(address: str) -> None:
    async def act(client: Spawner) -> None:
        async with a_container(client) as container:
            with pytest.raises(CommandNotFound, match="'/no/such' does not exist"):
                await container.execute("/no/such")

    conducted(address, act)


def traced_from_inside(container: int, target: int) -> int:
    """0, or the error number of ptrace(2) on `target` by somebody in the container with all its capabilities."""
    pid = os.fork()
    if pid == 0:
        try:
            process.enter_namespaces(os.pidfd_open(container), c.CLONE_NEWUSER)
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            libc = ctypes.CDLL(None, use_errno=True)
            failed = libc.ptrace(SEIZE, target, None, None) == -1
            os._exit(ctypes.get_errno() if failed else 0)
        finally:
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("steps", [(), (JOIN,), (JOIN, step("own-credentials"))], ids=["born", "joined", "root"])
def test_nobody_inside_can_trace_it_before_it_executes(address: str, steps: tuple) -> None:  # type: ignore[type-arg]
    """CVE-2016-9962. The tracer has every capability in the container's user namespace, as a privileged one would."""

    async def act(client: Spawner) -> None:
        async with a_container(client) as container:
            joined = await container.join()
            null = os.open(os.devnull, os.O_RDWR)
            names = ("stdin", "stdout", "stderr")
            work = Plan((*steps, step("gate"), *ungated("sleep", "1000")))
            joined.begin(work, {**dict.fromkeys(names, null), "container": container.stage.pidfd})
            os.close(null)
            await asyncio.sleep(0.2)
            assert "python" in os.readlink(f"/proc/{joined.pid}/exe")
            assert traced_from_inside(container.stage.pid, joined.pid) == errno.EPERM
            await joined.finish(work)
            joined.close()
            kill(joined)
            await ended(client, joined)

    conducted(address, act)


def test_nothing_is_imported_from_the_containers_files(address_of: Callable[[], str]) -> None:
    def load(_: object) -> None:
        import this  # noqa: F401

    stage_module.OPERATIONS["load"] = load  # type: ignore[index]
    try:
        address = address_of()
    finally:
        del stage_module.OPERATIONS["load"]  # type: ignore[attr-defined]

    async def act(client: Spawner) -> None:
        async with a_container(client) as container:
            joined = await container.join()
            with pytest.raises(SetupFailed, match="ModuleNotFoundError: No module named 'this'"):
                await begin(joined, Plan((JOIN, step("load"), *ungated("true"))), container.stage.pidfd)
            await ended(client, joined)

    conducted(address, act)
