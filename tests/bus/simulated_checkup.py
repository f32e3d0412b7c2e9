# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host lacks, without a look at it."""

from __future__ import annotations

from dataclasses import dataclass

from mctld.lifecycle.check.finding import Finding, Verdict


class SimulatedCheckup:
    def __init__(self) -> None:
        self.features = ("cgroup.pids", "userns")

    async def findings(self) -> tuple[Finding, ...]:
        return (
            Finding("userns", Verdict.OK, "one was made", "Root inside is nobody outside."),
            Finding("cgroup.io", Verdict.MISSING, "not offered", "There are no limits.", "install a kernel"),
        )


@dataclass
class SimulatedLogControl:
    level: str = "info"
    target: str = "journal"
