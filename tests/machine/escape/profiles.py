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
    """options are of `mctl run`; caller: who runs it."""

    name: str
    table: Table
    options: tuple[str, ...] = ()
    rootfs: str = root.ROOT
    caller: str | None = None

    def argv(self) -> list[str]:
        return ["mctl", "run", *COMMON, *self.options, self.rootfs, *root.ARGV]


PROFILES = (
    Profile("default", expected.DEFAULT),
    Profile("user", expected.USER, ("-u", "1000:1000")),
    Profile("of-alice", expected.DEFAULT, rootfs=root.ALICES, caller="alice"),
)
