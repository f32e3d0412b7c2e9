# SPDX-License-Identifier: GPL-3.0-or-later
"""A host full of containers: all are there, all are told of, all go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from machine import crowd

if TYPE_CHECKING:
    from .conftest import Mctl

pytestmark = pytest.mark.nspawn
CROWD = Path(crowd.__file__).read_text()
COUNT = 1000
CONNECTED = 200
PROCESSES = "cat /sys/fs/cgroup/mctl.slice/mctl-u0.slice/mctl-crowd-*.scope/cgroup.procs"


def gather(mctl: Mctl, count: int, network: str, *command: str) -> None:
    mctl.machine.run(["python3", "-c", CROWD, mctl.rootfs, str(count), network, *command], timeout=400)


@pytest.mark.allow_journal(r"mctld\.service: (Failed with result 'signal'|Main process exited.*)")
def test_a_thousand_run_survive_the_service_and_end_at_once(mctl: Mctl) -> None:
    """PID 1 keeps a descriptor of each: the next instance begins with more than select(2) knows."""
    gather(mctl, COUNT, "", "/bin/sleep", "100000")
    assert len(mctl("ps", "-q").text.splitlines()) == COUNT
    mctl.kill_service()
    assert len(mctl("ps", "-q").text.splitlines()) == COUNT
    before = mctl.service_pid()
    mctl.shell(f"{PROCESSES} | xargs kill -KILL")
    for number in (0, COUNT // 2, COUNT - 1):
        mctl.shell(f"busctl call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s crowd-{number}")
    mctl.shell("until [ -z \"$(mctl ps -q)\" ]; do sleep 0.1; done", timeout=120)
    ends = [(c["ExitHow"], c["ExitStatus"]) for c in json.loads(mctl("ps", "-a", "--json").text)]
    assert ends == [("killed", 9)] * COUNT
    mctl.shell("mctl ps -aq | xargs mctl rm", timeout=240)
    assert mctl.service_pid() == before


def test_many_on_one_network_have_an_address_each(mctl: Mctl) -> None:
    gather(mctl, CONNECTED, "bridge", "/bin/sleep", "100000")
    found = json.loads(mctl("ps", "--json").text)
    addresses = [(four, six) for c in found for _, four, six in c["Addresses"]]
    assert len({four for four, _ in addresses}) == len({six for _, six in addresses}) == CONNECTED
    inside = mctl.shell(
        "for c in $(mctl ps -q | head -n 20); do mctl exec $c ip -4 -o addr show eth0; done | grep -o 'inet [0-9.]*'",
        timeout=120,
    ).text.split()[1::2]
    assert len(set(inside)) == 20
    assert set(inside) <= {four for four, _ in addresses}
    mctl.shell("mctl ps -aq | xargs mctl rm -f", timeout=240)
