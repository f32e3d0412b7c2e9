# SPDX-License-Identifier: GPL-3.0-or-later
"""Where nothing happens nobody wakes up: neither the service nor its helpers poll."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

SERVICES = ("mctld.service", "mctl-spawner.service", "mctl-names.service")
SWITCHES = """
for unit in {units}; do
    pid=$(systemctl show -P MainPID $unit)
    [ "$pid" = 0 ] || cat /proc/$pid/task/*/status | awk -v unit=$unit '/^voluntary/ {{n += $2}} END {{print unit, n}}'
done
"""
PATIENCE = 90.0  # what other tests have left behind may linger for 30 s


def switches(mctl: Mctl) -> dict[str, int]:
    """How often each has gone to sleep, which it can only do after it has woken up."""
    lines = mctl.shell(SWITCHES.format(units=" ".join(SERVICES))).text.splitlines()
    return {unit: int(count) for unit, count in (line.split() for line in lines)}


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.siege)])
def test_nobody_wakes_up_for_nothing(mctl: Mctl, seconds: int) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "idle"])
    mctl.run("sleep", "1000", options=["-d", "--name", "healthy", "--health-cmd", "true", "--health-interval", "1h"])
    mctl.run("sleep", "1000", options=["-d", "--name", "paused", "--health-cmd", "true", "--health-interval", "1s"])
    mctl("network", "create", "quiet")
    mctl.run("sleep", "1000", options=["-d", "--name", "apart", "--network", "quiet"])
    mctl("pause", "paused")
    deadline, before = time.monotonic() + PATIENCE + 2 * seconds, switches(mctl)
    assert set(before) == set(SERVICES)
    while True:
        time.sleep(seconds)
        now = switches(mctl)
        if now == before:
            break
        assert time.monotonic() < deadline, f"woken up in {seconds} s: {before} became {now}"
        before = now
    mctl("rm", "-f", "apart")
    mctl("network", "rm", "quiet")
