# SPDX-License-Identifier: GPL-3.0-or-later
"""After the host was booted, and after it lost its power: what was to be back is back, and nothing else."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from machine.nspawn import Nspawn

from .conftest import MAKE_ROOTFS, Mctl
from .test_activation import UNTIL, call, create

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENT = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
POLICIES = ("no", "on-failure", "always", "unless-stopped")
BACK = {"always", "unless-stopped", "always-stopped"}


@pytest.fixture(scope="module")
def own(pytestconfig: pytest.Config, deb: Path) -> Iterator[Mctl]:
    """A machine of one's own: it is booted again and again."""
    distro = pytestconfig.getoption("--distro")
    with Nspawn(distro, name=f"{distro}-comeback-{os.getpid()}") as machine:
        machine.boot()
        machine.install(deb)
        machine.run(["sh", "-c", MAKE_ROOTFS], timeout=120)
        yield Mctl(machine)


@pytest.fixture
def running(own: Mctl) -> Iterator[Mctl]:
    """Of each policy one that runs and one that a person has stopped; and one that was never started."""
    for policy in POLICIES:
        for name in (policy, f"{policy}-stopped"):
            own.run("sh", "-c", PATIENT, options=["-d", "--name", name, "--restart", policy])
        own("stop", f"{policy}-stopped")
    own("create", "--name", "new", "--restart", "always", own.rootfs, "sh", "-c", PATIENT)
    yield own
    own("rm", "-f", *own("ps", "-aq").text.split())


def came_back(mctl: Mctl) -> set[str]:
    """Without a call that would have the bus start the service: it is there by itself."""
    deadline = time.monotonic() + 60
    while mctl.shell("systemctl is-active --quiet mctld.service", check=False).returncode:
        assert time.monotonic() < deadline, "the service has not been started at boot"
        time.sleep(0.1)
    found: set[str] = set()
    while time.monotonic() < deadline and len(found) < len(BACK):
        units = mctl.shell("systemctl list-units --plain --no-legend 'mctl-*.scope'").text.split()
        found = {unit[5:-6] for unit in units if unit.startswith("mctl-") and unit.endswith(".scope")}
        time.sleep(0.2)
    return found


def states(mctl: Mctl) -> dict[str, str]:
    names = [*POLICIES, *(f"{policy}-stopped" for policy in POLICIES), "new"]
    return {name: mctl.properties(name)["State"] for name in names}


def settled(mctl: Mctl) -> dict[str, str]:
    """When those that are to be back run: a scope is there before its command is executed."""
    deadline = time.monotonic() + 60
    while True:
        found = states(mctl)
        if {name for name, state in found.items() if state == "running"} == BACK:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def check(mctl: Mctl) -> None:
    assert came_back(mctl) == BACK
    found = settled(mctl)
    assert found.pop("new") == "created"
    assert set(found.values()) == {"running", "exited"}
    assert all(mctl.properties(name)["RestartCount"] <= 1 for name in BACK)
    mctl.shell("kill -9 $(systemctl show -P MainPID mctld.service); sleep 0.5")
    settled(mctl)


def test_a_boot_brings_back_what_is_to_be_back(running: Mctl) -> None:
    before = running.shell(BOOT_ID).text
    running.machine.reboot()  # type: ignore[attr-defined]
    assert running.shell(BOOT_ID).text != before
    check(running)
    ends = {name: running.properties(name) for name in ("no", "on-failure")}
    assert {(end["ExitHow"], end["ExitStatus"]) for end in ends.values()} == {("exited", 0)}  # in good order


def test_so_does_the_return_of_power(running: Mctl) -> None:
    running.machine.reset()  # type: ignore[attr-defined]
    check(running)
    assert running.properties("no")["ExitHow"] == "unknown"


def test_whoever_connects_first_starts_a_container_on_call(own: Mctl) -> None:
    """Nobody has asked the service for anything since the boot, and the container had ended with the one before."""
    machine = own.machine
    assert isinstance(machine, Nspawn)
    create(own, "--stop-timeout", "0")
    assert call(own) == "hello from web"
    for boot_again in (machine.reboot, machine.reset):
        boot_again()
        own.shell(UNTIL.format("systemctl is-active -q mctl-activate@web.socket"))
        assert own.properties("web")["State"] == "exited"
        assert call(own) == "hello from web"
        assert own.properties("web")["State"] == "running"
    own("rm", "-f", "web")
