# SPDX-License-Identifier: GPL-3.0-or-later
"""The spawner and the stage, driven without the daemon, as an OCI runtime command will. Needs root."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from kernel.driver import IDS, INHERITED, NAMESPACES, conducted, output_of, plan, step
from mctld.errors import CommandNotExecutable, CommandNotFound, SetupFailed, SpawnerUnavailable
from mctld.lifecycle.readiness import readable
from mctld.runtime import launch, users
from mctld.runtime import spawner as spawner_module
from mctld.runtime import stage as stage_module
from mctld.runtime.launch import Inherited, Status

if TYPE_CHECKING:
    from mctld.runtime.launch import Spawner
    from mctld.runtime.plan import Plan

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces: needs root")


def test_a_payload_runs_in_its_namespaces(address: str) -> None:
    async def act(client: Spawner) -> None:
        before = (step("own-credentials"), step("hostname", name="inside"), step("loopback"))
        text, status = await output_of(client, plan("sh", "-c", "id -u; hostname; echo $$; exit 7", before=before))
        assert text.split() == ["0", "inside", "1"]
        assert (status.code, status.status) == (os.CLD_EXITED, 7)

    conducted(address, act)


def test_a_status_waits_until_it_is_forgotten(address: str) -> None:
    async def act(client: Spawner) -> None:
        _, status = await output_of(client, plan("sh", "-c", "exit 3"))
        assert await client.connect() == {"one": status.pid}
        assert await client.status("one") == status
        await client.forget("one")
        assert await client.status("one") == Status()
        assert await client.connect() == {}

    conducted(address, act)


def test_a_second_client_finds_what_the_first_has_started(address: str) -> None:
    async def first(client: Spawner) -> None:
        await output_of(client, plan("sh", "-c", "kill -9 $$ & exec true"))

    async def second(client: Spawner) -> None:
        assert set(await client.connect()) == {"one"}
        assert (await client.status("one")).code == os.CLD_EXITED

    conducted(address, first)
    conducted(address, second)


def test_a_child_whose_asker_is_gone_ends(address: str) -> None:
    async def act(client: Spawner) -> None:
        stage = await client.spawn("one", NAMESPACES, IDS, INHERITED)
        stage.close()
        await readable(stage.pidfd)
        os.close(stage.pidfd)

    conducted(address, act)


@pytest.mark.parametrize(
    ("work", "failure", "sentence"),
    [
        (plan("/no/such"), CommandNotFound, "command '/no/such' does not exist"),
        (plan("/etc/passwd"), CommandNotExecutable, "cannot be executed"),
        (plan("/proc/self/exe"), CommandNotExecutable, "cannot be executed"),
        (plan("true", before=(step("working-directory", path="/no/such"),)), SetupFailed, "do working-directory"),
        (plan("true", before=(step("working-directory", path="/proc/self/fd/0"),)), SetupFailed, "Too many levels"),
        (plan("true", before=(step("no-such-operation"),)), SetupFailed, "no-such-operation"),
    ],
)
def test_a_failure_names_its_step(address: str, work: Plan, failure: type[Exception], sentence: str) -> None:
    async def act(client: Spawner) -> None:
        with pytest.raises(failure, match=sentence):
            await output_of(client, work)

    conducted(address, act)


def test_nothing_of_the_spawner_is_inherited(address: str) -> None:
    async def act(client: Spawner) -> None:
        script = "ls /proc/self/fd | wc -l; grep -E 'SigIgn|SigBlk' /proc/self/status; umask; echo $#; env"
        text, _ = await output_of(client, plan("sh", "-c", script, before=(step("fresh-process"),)))
        lines = text.splitlines()
        assert lines[0] == "4"  # 0, 1, 2 and the directory that ls reads
        assert {line.split()[1] for line in lines[1:3]} == {"0" * 16}
        assert lines[3] == "0022"
        assert {line.partition("=")[0] for line in lines[5:]} <= {"HOME", "PATH", "PWD", "SHLVL", "_"}

    conducted(address, act)


def test_a_user_namespace_without_a_process(address: str) -> None:
    async def act(client: Spawner) -> None:
        descriptor = await client.user_namespace(users.only(1000, 1001, users.FIRST))
        assert os.readlink(f"/proc/self/fd/{descriptor}").startswith("user:[")
        os.close(descriptor)

    conducted(address, act)


def test_a_bad_request_is_answered(address: str) -> None:
    async def act(client: Spawner) -> None:
        with pytest.raises(SetupFailed, match="map a process"):
            await client.user_namespace(users.IdMap("nonsense", "nonsense"))
        await client.connect()

    conducted(address, act)


@pytest.mark.parametrize("limits", [{"CORE": (1 << 63, 1 << 63)}, {"CORE": (2, 1)}, {"NOPE": (1, 1)}])
def test_a_child_that_cannot_be_prepared_is_gone(address: str, limits: dict[str, tuple[int, int]]) -> None:
    """Whatever the reason: neither a process nor a descriptor of it is left."""

    async def act(client: Spawner) -> None:
        await client.connect()
        pid = children_of(os.getpid())[-1]
        before = os.listdir(f"/proc/{pid}/fd")
        with pytest.raises(SetupFailed, match="spawn a process"):
            await client.spawn("one", NAMESPACES, IDS, Inherited(limits, tuple(limits)))
        assert await client.connect() == {}
        assert children_of(pid) == []
        assert os.listdir(f"/proc/{pid}/fd") == before

    conducted(address, act)


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def test_the_spawner_stays_light() -> None:
    """Each module costs every fork; these have no place in the parent of all containers."""
    code = "import sys; sys.path[:0] = sys.argv[1:]; import mctld.runtime.spawner; print(*sys.modules)"
    source = os.path.dirname(os.path.dirname(spawner_module.__file__).removesuffix("/runtime"))
    listed = os.popen(f"/usr/bin/python3 -IS -c '{code}' {source} /usr/lib/python3/dist-packages").read().split()
    assert "mctld.runtime.spawner" in listed
    heavy = {
        "asyncio",
        "dbus_next",
        "pyroute2",
        "logging",
        "typing",
        "argparse",
        "subprocess",
        "dataclasses",
        "sqlite3",
    }
    assert not heavy & set(listed)
    ours = {name for name in listed if name.startswith("mctld.")}
    assert ours <= {
        "mctld.capability", "mctld.runtime.accounts", "mctld.runtime.masks",
        "mctld.kernel", "mctld.kernel.constants", "mctld.kernel.files", "mctld.kernel.libc", "mctld.kernel.mount",
        "mctld.kernel.process", "mctld.runtime", "mctld.runtime.capabilities", "mctld.runtime.children",
        "mctld.runtime.credentials", "mctld.runtime.plainjson",
        "mctld.runtime.filesystems", "mctld.runtime.identity", "mctld.runtime.programs", "mctld.runtime.seccomp",
        "mctld.runtime.seccomp.loading", "mctld.runtime.spawner", "mctld.runtime.stage", "mctld.runtime.terminal",
    }  # fmt: skip


def test_a_payload_waits_at_the_gate(address: str) -> None:
    """What follows the gate needs the scope; a start that is given up there leaves nothing."""

    async def act(client: Spawner) -> None:
        stage = await client.spawn("one", NAMESPACES, IDS, INHERITED)
        null = os.open(os.devnull, os.O_RDWR)
        stage.begin(plan("true"), {"stdin": null, "stdout": null, "stderr": null})
        os.close(null)
        await asyncio.sleep(0.2)
        assert "python" in os.readlink(f"/proc/{stage.pid}/exe")
        stage.close()
        await readable(stage.pidfd)
        os.close(stage.pidfd)
        status = await client.status("one")
        assert (status.code, status.status) == (os.CLD_EXITED, stage_module.EXIT_SETUP_FAILED)

    conducted(address, act)


def test_a_spawner_of_another_version_gets_no_plan(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "PROTOCOL", spawner_module.PROTOCOL + 1)

    async def act(client: Spawner) -> None:
        with pytest.raises(SpawnerUnavailable, match="restart mctld"):
            await client.spawn("one", NAMESPACES, IDS, INHERITED)
        assert client.outdated
        assert not client.understands
        assert await client.connect() == {}

    conducted(address, act)
