# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits are in force before the first instruction. They need every cgroup controller: qemu."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

MIB = 1 << 20


@pytest.mark.qemu
def test_the_first_instruction_is_within_the_limits(mctl: Mctl) -> None:
    options = ["--rm", "--memory", "64m", "--swap", "96m", "--cpu", "0.5", "--cpu-weight", "50", "--pids", "20"]
    files = ("memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max")
    result = mctl.run("cat", *(f"/sys/fs/cgroup/{name}" for name in files), options=options)
    assert result.text.splitlines() == [str(64 * MIB), str(32 * MIB), "50000 100000", "50", "20"]


@pytest.mark.qemu
def test_a_fork_bomb_that_forks_first_stays_within_its_limit(mctl: Mctl) -> None:
    bomb = "b() { b | b & }; b; sleep 1000"
    mctl.run("sh", "-c", bomb, options=["-d", "--name", "bomb", "--pids", "30"])
    scope = "/sys/fs/cgroup/mctl.slice/mctl-u0.slice/mctl-bomb.scope"
    sample = f"for i in $(seq 200); do cat {scope}/pids.current; done | sort -n | tail -n 1; cat {scope}/pids.events"
    most, _, refused = mctl.shell(sample).text.split()
    assert 1 <= int(most) <= 30
    assert int(refused) > 0
    mctl("rm", "-f", "bomb")


@pytest.mark.qemu
def test_what_allocates_too_much_is_killed(mctl: Mctl) -> None:
    for number in range(5):  # PID 1 is about to remove the cgroup that tells the reason
        options = ["--name", f"glutton-{number}", "--memory", "32m"]
        result = mctl.run("dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1", options=options, check=False)
        assert result.returncode == 128 + 9
        assert "memory" in result.stderr.decode()
        assert mctl.properties(f"glutton-{number}")["ExitHow"] == "oom"


@pytest.mark.qemu
def test_swap_is_none_where_only_memory_is_limited(mctl: Mctl) -> None:
    result = mctl.run("cat", "/sys/fs/cgroup/memory.swap.max", options=["--rm", "--memory", "64m"])
    assert result.text == "0\n"


@pytest.mark.nspawn
def test_a_limit_that_cannot_be_enforced_is_refused(mctl: Mctl) -> None:
    controllers = mctl.shell("cat /sys/fs/cgroup/cgroup.controllers").text.split()
    if "memory" in controllers:
        pytest.skip("this host's nspawn machines have a memory controller")
    result = mctl.run("true", options=["--rm", "--memory", "64m"], check=False)
    assert result.returncode == 125
    assert "no memory controller" in result.stderr.decode()
