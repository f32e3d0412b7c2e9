# SPDX-License-Identifier: GPL-3.0-or-later
"""capabilities(7): what the payload keeps."""

from __future__ import annotations

import os

from .. import capability
from ..kernel import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import Descriptors


def last() -> int:
    """The highest capability that this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())


def mask(names: list[str]) -> int:
    return sum(1 << capability.NUMBERS[name] for name in names)


def limit_bounding_set(_: Descriptors, keep: list[str], last: int) -> None:
    """While we still hold CAP_SETPCAP. `last` is read by the planner: /proc may be gone here."""
    kept = mask(keep)
    for number in range(last + 1):
        if not kept >> number & 1:
            process.limit_bounding_set(number)


def set_capabilities(_: Descriptors, keep: list[str], ambient: list[str], loader: list[str]) -> None:
    """Root's effective and permitted sets become `keep`, inheritable and ambient stay empty (CVE-2022-29162).

    A command of another user gets `ambient` in all four sets: without the ambient set execve(2) would take them away.
    Where the user namespace is the host's, what its services may not have cannot be given either.
    `loader` is what the stage itself needs until execve(2), which takes it away: the bounding set does not have it.
    """
    permitted = process.permitted_capabilities()
    process.clear_ambient()
    if os.geteuid() == 0:
        held = (mask(keep) | mask(loader)) & permitted
        process.set_capabilities(held, held, 0)
        return
    kept = mask(ambient) & permitted
    held = kept | mask(loader) & permitted
    process.set_capabilities(held, held, kept)
    for name in ambient:
        if kept >> capability.NUMBERS[name] & 1:
            process.raise_ambient(capability.NUMBERS[name])


def forbid_new_privileges(_: Descriptors) -> None:
    process.forbid_new_privileges()
