# SPDX-License-Identifier: GPL-3.0-or-later
"""Where memory runs out, containers go before the service, and without the service they go on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

MARK = "import os, sys; print(os.getxattr(sys.argv[1], 'user.oomd_avoid'))"
SERVICES = ("mctld.service", "mctl-spawner.service")
KILLED = "journalctl -q -k -o cat | grep -q 'Memory cgroup out of memory: Killed process {} '"
CHATTY = "trap 'echo $i in all; exit' USR1; i=0; while :; do echo line $((i+=1)); sleep 0.1; done"
PATIENT = "trap 'exit 7' USR1; while :; do sleep 0.1; done"
KILLER = "echo f > /proc/sysrq-trigger"  # as for want of memory on the whole host, admin-guide/sysrq.rst
GLUTTON = ("dd", "if=/dev/zero", "of=/dev/null", "bs=256M")


def limit(mctl: Mctl, size: str) -> None:
    mctl.shell(f"systemctl set-property --runtime mctld.service MemoryMax={size}")


def main_pids(mctl: Mctl) -> list[str]:
    return [mctl.shell(f"systemctl show -P MainPID {unit}").text.strip() for unit in SERVICES]


def told_of(mctl: Mctl, *names: str) -> list[dict[str, Any]]:
    """In one command: each takes seconds in qemu."""
    return [json.loads(line) for line in mctl("inspect", "--pretty=false", *names).text.splitlines()]


def ask_to_end(mctl: Mctl, pid: int) -> None:
    """Until it has: the record of its end is a zombie for as long as the service has not asked."""
    ended = f"[ ! -e /proc/{pid} ] || grep -q '^State:.Z' /proc/{pid}/status"
    mctl.shell(f"until {ended}; do kill -USR1 {pid}; sleep 0.2; done", timeout=120)


@pytest.fixture
def bounded(busybox: Mctl) -> Iterator[Mctl]:
    yield busybox
    limit(busybox, "infinity")
    busybox.shell("systemctl revert mctld.service")


@pytest.mark.parametrize(("unit", "score"), [("mctld.service", -500), ("mctl-spawner.service", -900)])
def test_the_kernel_and_systemd_oomd_are_asked_to_look_elsewhere(mctl: Mctl, unit: str, score: int) -> None:
    """systemd.resource-control(5): what bears systemd-oomd's mark is taken when nothing else is left."""
    mctl("ps")
    shown = mctl.shell(f"systemctl show -P ManagedOOMPreference -P OOMScoreAdjust {unit}").text
    assert sorted(shown.split()) == [str(score), "avoid"]
    group = f"/sys/fs/cgroup$(systemctl show -P ControlGroup {unit})"
    assert mctl.shell(f'/usr/bin/python3 -c "{MARK}" {group}').text == "b'1'\n"


@pytest.mark.qemu
@pytest.mark.allow_journal(r"^mctld\.service: ", r"^Failed to start mctld\.service")
def test_a_service_without_memory_leaves_containers_alone(bounded: Mctl) -> None:
    """The kernel kills it, and would at each new start. With room again it comes by itself and knows all that was.

    An image's lines pass through the service: while there is none they wait.
    """
    mctl = bounded
    mctl.run("sh", "-c", CHATTY, options=["-d", "--name", "stays"], rootfs="busybox")
    mctl.run("sh", "-c", PATIENT, options=["-d", "--name", "ends"])
    pid, ending = (found["MainPID"] for found in told_of(mctl, "stays", "ends"))
    service, spawner = main_pids(mctl)
    limit(mctl, "8M")
    mctl.shell(f"until {KILLED.format(service)}; do sleep 0.2; done", timeout=120)
    ask_to_end(mctl, ending)
    limit(mctl, "infinity")
    mctl.shell("until systemctl is-active -q mctld.service; do sleep 0.2; done", timeout=120)
    stays, ended = told_of(mctl, "stays", "ends")
    assert (stays["State"], stays["MainPID"]) == ("running", pid)
    assert (ended["State"], ended["ExitHow"], ended["ExitStatus"]) == ("exited", "exited", 7)
    assert main_pids(mctl)[1] == spawner
    ask_to_end(mctl, pid)
    mctl.shell("busctl --timeout=60 call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s stays", timeout=90)
    entries = mctl.journal("CONTAINER_NAME=stays", "_SYSTEMD_UNIT=mctl-stays.scope")
    *lines, last = (entry["MESSAGE"] for entry in entries)  # what was being handed over may be there twice
    assert last.endswith(" in all")
    assert [line for line in (f"line {n}" for n in range(1, int(last.split()[0]) + 1)) if line not in lines] == []


@pytest.mark.qemu
def test_a_container_without_memory_takes_nobody_along(mctl: Mctl) -> None:
    """Neither one at its own limit nor the largest of a host that has no memory left."""
    services = main_pids(mctl)
    mctl.run(*GLUTTON, options=["--name", "limited", "--memory", "32m"], check=False)
    mctl.run(*GLUTTON, options=["-d", "--name", "largest"])
    pid = mctl.properties("largest")["MainPID"]
    grown = f"[ $(awk '/^VmRSS/ {{ print $2 }}' /proc/{pid}/status) -gt {200 << 10} ]"
    mctl.shell(f"until {grown}; do sleep 0.2; done; {KILLER}", timeout=120)
    mctl.shell("busctl --timeout=60 call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s largest", timeout=90)
    for found in told_of(mctl, "limited", "largest"):
        assert (found["ExitHow"], found["ExitStatus"]) == ("oom", 9)
    assert main_pids(mctl) == services
