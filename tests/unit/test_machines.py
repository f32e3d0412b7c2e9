# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that boot an operating system: what they get, and what systemd-machined is told."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant

from mctld import machine
from mctld.bus import options
from mctld.errors import InvalidArgs, MctlError, SetupFailed
from mctld.kernel import constants as c
from mctld.mounts import Bind, HostPath, Tmpfs
from mctld.runtime import delegation, planner
from mctld.spec import Rootfs
from mctld.systemd import machined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mctld.runtime.plan import Step
    from mctld.spec import Spec

IDENTITY = "00112233445566778899aabbccddeeff"


class Refused(MctlError):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class FakeMachined:
    """On a bus. taken: by which service and unit the name is."""

    def __init__(self, *, there: bool = True, taken: tuple[str, str] | None = None) -> None:
        self.there, self.taken = there, taken
        self.registered: list[tuple[str, tuple[Any, ...]]] = []

    async def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> list[Any]:
        match member:
            case "ListActivatableNames":
                return [["org.freedesktop.DBus", *([machined.NAME] if self.there else [])]]
            case "RegisterMachineWithNetwork":
                if self.taken:
                    raise Refused(machined.EXISTS)
                if not self.there:
                    raise Refused("org.freedesktop.DBus.Error.ServiceUnknown")
                self.registered.append((signature, tuple(body)))
            case "GetMachine":
                return ["/org/freedesktop/machine1/machine/deb"]
            case "GetAll":
                assert self.taken
                return [{"Service": Variant("s", self.taken[0]), "Unit": Variant("s", self.taken[1])}]
            case "UnregisterMachine":
                self.taken = None
        return []

    async def on_signal(
        self, sender: str, interface: str, member: str, callback: Callable[[str, list[Any]], None]
    ) -> None:
        raise AssertionError


def register(bus: FakeMachined) -> None:
    asyncio.run(machined.Machined(bus).register("deb", IDENTITY, 42, "mctl-deb.scope", [7]))


def test_it_is_registered() -> None:
    bus = FakeMachined()
    register(bus)
    told = ("deb", bytes.fromhex(IDENTITY), "mctl", "container", 42, "", [7])
    assert bus.registered == [("sayssusai", told)]


def test_an_earlier_run_gives_way() -> None:
    bus = FakeMachined(taken=("mctl", "mctl-deb.scope"))
    register(bus)
    assert len(bus.registered) == 1


@pytest.mark.parametrize("taken", [("systemd-nspawn", "mctl-deb.scope"), ("mctl", "mctl@deb.service")])
def test_another_machine_keeps_its_name(taken: tuple[str, str]) -> None:
    bus = FakeMachined(taken=taken)
    with pytest.raises(SetupFailed, match=r"could not register it with systemd-machined: .*MachineExists"):
        register(bus)
    assert bus.taken == taken


def test_who_has_no_machined_is_told_what_to_install() -> None:
    asyncio.run(machined.Machined(FakeMachined()).check())
    with pytest.raises(SetupFailed, match="install the Debian package systemd-container"):
        asyncio.run(machined.Machined(FakeMachined(there=False)).check())


def mounts(spec: Spec) -> dict[str, Step]:
    steps = planner.plan(spec, last_capability=40).steps
    return {step.arguments["target"]: step for step in steps if "target" in step.arguments}


def test_its_init_finds_what_it_could_not_mount(make_spec: Callable[..., Spec]) -> None:
    found = mounts(make_spec(machine=True))
    assert found["/run"].arguments["options"]["mode"] == "0755"
    assert [found[path].arguments["kind"] for path in ("/run", "/run/lock", "/tmp")] == ["tmpfs"] * 3
    assert not {"/run", "/run/lock", "/tmp"} & set(mounts(make_spec()))


def test_what_was_asked_for_comes_first(make_spec: Callable[..., Spec]) -> None:
    bind, own = Bind(HostPath("/srv/run", 1, 2), "/run"), Tmpfs("/tmp", size=1 << 30)
    found = mounts(make_spec(machine=True, binds=(bind,), tmpfs=(own,)))
    assert found["/run"].operation == "bind"
    assert found["/tmp"].arguments["options"]["size"] == str(1 << 30)


def test_its_cgroup_can_be_written_and_no_others(make_spec: Callable[..., Spec]) -> None:
    for is_machine in (False, True):
        step = mounts(make_spec(machine=is_machine))["/sys/fs/cgroup"]
        assert bool(step.arguments["attributes"] & c.MOUNT_ATTR_RDONLY) != is_machine


def test_a_console_that_leads_nowhere_is_none(make_spec: Callable[..., Spec]) -> None:
    assert "/dev/console" in mounts(make_spec())
    assert "/dev/console" not in mounts(make_spec(machine=True))
    assert "/dev/console" in mounts(make_spec(machine=True, terminal=True))


def test_it_stops_as_systemd_does() -> None:
    def signal(**given: Any) -> int:
        return options.spec("deb", {"Command": ["/sbin/init"], **given}, Rootfs("/srv/deb", 1, 2)).stop_signal

    assert signal() == 15
    assert signal(Machine=True) == 37
    assert signal(Machine=True, StopSignal=2) == 2


def test_two_inits_are_one_too_many(make_spec: Callable[..., Spec]) -> None:
    with pytest.raises(InvalidArgs, match="Machine and Init exclude each other"):
        make_spec(machine=True, init=True)


def test_the_containers_id_becomes_the_machines() -> None:
    assert machine.environment(IDENTITY) == {"container_uuid": "00112233-4455-6677-8899-aabbccddeeff"}


def test_only_what_the_kernel_names_is_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group, listed, given = tmp_path / "x.scope", tmp_path / "delegate", []
    group.mkdir()
    listed.write_text("cgroup.procs\ncgroup.subtree_control\nmemory.oom.group\n")
    for name in ("cgroup.procs", "cgroup.subtree_control", "memory.max"):
        (group / name).touch()
    monkeypatch.setattr(delegation, "HIERARCHY", str(tmp_path))
    monkeypatch.setattr(delegation, "FILES", str(listed))
    monkeypatch.setattr(os, "chown", lambda path, uid, gid, follow_symlinks: given.append((path, uid, gid)))
    delegation.delegate("/x.scope", 7)
    names = (".", "cgroup.procs", "cgroup.subtree_control")
    assert given == [(f"{group}/{name}", 7, 7) for name in names]
    bounds = ("cgroup.max.descendants", "cgroup.max.depth")  # they stay root's
    assert [(group / name).read_text() for name in bounds] == ["4096", "64"]
