# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit that the host cannot enforce is refused, by name."""

from __future__ import annotations

import pytest

from mctld.errors import SetupFailed
from mctld.runtime import cgroup
from mctld.spec import Limits

EVERYTHING = frozenset({"cpu", "memory", "pids"})


@pytest.mark.parametrize(
    ("limits", "controller"),
    [
        (Limits(memory_max=8 << 20), "memory"),
        (Limits(memory_swap_max=0), "memory"),
        (Limits(cpu_weight=10), "cpu"),
        (Limits(cpu_quota_per_sec_usec=500_000), "cpu"),
        (Limits(tasks_max=10), "pids"),
    ],
)
def test_a_limit_needs_its_controller(limits: Limits, controller: str) -> None:
    cgroup.check(limits, EVERYTHING)
    with pytest.raises(SetupFailed, match=f"no {controller} controller"):
        cgroup.check(limits, EVERYTHING - {controller})


def test_no_limit_needs_nothing() -> None:
    cgroup.check(Limits(), frozenset())
