# SPDX-License-Identifier: GPL-3.0-or-later
"""A real reboot: enabled containers come back before anybody logs in, in order, bound by their units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from machine.qemu import Qemu

if TYPE_CHECKING:
    from .conftest import Mctl

MIB = 1 << 20
SLOW = "trap 'echo closing; sleep 5; echo closed; exit 0' TERM; echo open; while :; do sleep 0.2; done"
ORDER = "[Unit]\\nRequires=mctl@db.service\\nAfter=mctl@db.service\\n[Service]\\nMemoryMax=48M\\n"
PLACE = "/etc/systemd/system/mctl@web.service.d"
REMARKS = r"(mctld|mctl-spawner)\.service: .*|mctl@.*|the name server does not .*"  # a slow machine, as it goes down


def messages(mctl: Mctl, boot: int) -> list[str]:
    """All of PID 1's and the containers' in that boot, in order."""
    return [str(entry.get("MESSAGE")) for entry in mctl.journal("-b", str(boot))]


def position(lines: list[str], beginning: str) -> int:
    """The last one's: other tests have stopped services in that boot, too."""
    return max(number for number, line in enumerate(lines) if line.startswith(beginning))


@pytest.mark.qemu
@pytest.mark.usefixtures("alice_may_create")
@pytest.mark.allow_journal(REMARKS)
def test_enabled_containers_survive_a_reboot(mctl: Mctl) -> None:
    machine = mctl.machine
    assert isinstance(machine, Qemu)
    mctl("create", "--name", "db", "--stop-timeout", "60", mctl.rootfs, "sh", "-c", SLOW)
    mctl("create", "--name", "web", "--memory", "64m", "/srv/alice", "sh", "-c", SLOW, user="alice")
    mctl("create", "--name", "idle", mctl.rootfs, "sh", "-c", SLOW)
    mctl("run", "-d", "--name", "scope", "--stop-timeout", "60", mctl.rootfs, "sh", "-c", SLOW)
    mctl("enable", "db")
    mctl("enable", "web", user="alice")
    mctl.shell(f"mkdir -p {PLACE}; printf '{ORDER}' > {PLACE}/order.conf; systemctl daemon-reload")
    mctl("start", "web", user="alice")
    assert mctl.properties("db")["State"] == "running"  # web requires it

    machine.reboot()

    states = {name: mctl.properties(name) for name in ("db", "web", "idle", "scope")}
    assert [found["State"] for found in states.values()] == ["running", "running", "created", "exited"]
    assert not mctl.shell("loginctl list-sessions --no-legend").text
    assert states["web"]["ControlGroup"] == "/mctl.slice/mctl-u1000.slice/mctl@web.service"
    assert mctl.shell(f"cat /sys/fs/cgroup{states['web']['ControlGroup']}/memory.max").text == f"{48 * MIB}\n"
    assert 0 < states["db"]["StartTimestampMonotonic"] < states["web"]["StartTimestampMonotonic"]

    before = messages(mctl, -1)
    assert before.count("closed") == 3  # each was given the time that it took
    down = [position(before, f"Stopped mctl@{name}.service") for name in ("web", "db")]
    assert down == sorted(down)
    service, bus = (position(before, f"Stopping {unit}") for unit in ("mctld.service", "dbus.service"))
    assert position(before, "mctl-scope.scope: Deactivated") < service < bus
    assert down[-1] < service
    assert (states["scope"]["ExitHow"], states["scope"]["ExitStatus"]) == ("exited", 0)  # told before the service ended

    mctl("rm", "-f", "web", "db", "idle", "scope")
    mctl.shell(f"rm -r {PLACE}; systemctl daemon-reload")
