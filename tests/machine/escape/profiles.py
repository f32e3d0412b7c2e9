# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of container in which the probes run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import expected, root

if TYPE_CHECKING:
    from .expected import Table

COMMON = ("--rm", "--hostname", expected.HOSTNAME, "-e", "DECLARED=yes")


@dataclass(frozen=True)
class Profile:
    """options are of `mctl run`; caller: who runs it; executed: by `mctl exec` in a container that sleeps."""

    name: str
    table: Table
    options: tuple[str, ...] = ()
    rootfs: str = root.ROOT
    caller: str | None = None
    executed: bool = False

    def argv(self, *options: str, command: tuple[str, ...] = root.ARGV) -> list[str]:
        return ["mctl", "run", *COMMON, *self.options, *options, self.rootfs, *command]

    def scripts(self) -> list[list[str]]:
        """What is to be run, in order: the last but one runs the probes, the last cleans up."""
        if not self.executed:
            return [self.argv(), ["true"]]
        start = self.argv("-d", "--name", "sleeper", command=("/bin/busybox", "sleep", "1000"))
        return [start, ["mctl", "exec", "sleeper", *root.ARGV], ["mctl", "rm", "-f", "sleeper"]]


PROFILES = (
    Profile("default", expected.DEFAULT),
    Profile("user", expected.USER, ("-u", "1000:1000")),
    Profile("strict", expected.STRICT, ("--security-opt", "strict")),
    Profile("privileged", expected.PRIVILEGED, ("--privileged",)),
    Profile("host-users", expected.HOST_USERS, ("--userns", "host")),
    Profile("executed", expected.EXECUTED, executed=True),
    Profile("of-alice", expected.DEFAULT, rootfs=root.ALICES, caller="alice"),
)
