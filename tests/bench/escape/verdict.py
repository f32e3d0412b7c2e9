# SPDX-License-Identifier: GPL-3.0-or-later
"""What an outcome means, whatever engine it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from machine.escape import expected

if TYPE_CHECKING:
    from collections.abc import Mapping

HELD, REACHED, OPEN = "held", "reached", "open"
REFUSALS = ("EPERM", "ENOSYS", "EACCES", "EROFS", "SIGSYS", "missing", "empty", "ENOENT", "ENXIO",
            "EAFNOSUPPORT")  # fmt: skip
SAID = ("held", "none", "hidden", "contained", "user 1000", "none opens", "could not be tried")
# Where what is inside says it, and not an errno.
SAFE: dict[str, tuple[Any, ...]] = {
    name: outcomes
    for name, outcomes in {**expected.BIRTH, **expected.DEVICES, **expected.NEIGHBOURS}.items()
    if name in (
        "descriptors", "nice", "scheduler", "io-priority", "capabilities-inheritable",
        "capabilities-ambient", "no-new-privileges", "seccomp", "signals-blocked", "signals-ignored", "oom-score-adj",
        "timer-slack", "personality", "coredump-filter", "huge-pages-disabled", "dev-kinds", "dev-null-is-null",
        "block-devices-of-sys", "nodes-of-the-host-changed", "root-of-process-1", "mounts-propagate",
        "abstract-sockets", "shared-memory", "service-sockets", "descriptors-lead-out", "processes",
    )
} | {"mounts-show-host-paths": expected.NONE}  # fmt: skip
HARMLESS = ("clone3", "unshare-of-a-file-system-context")  # as they are asked for here
# The ones that must work, and the facts, are in no comparison.
ATTEMPTS = {
    name
    for table in (
        expected.NAMESPACES, expected.MOUNTS, expected.KERNEL, expected.MEMORY, expected.DEVICES, expected.PATHS,
    )
    for name, outcomes in table.items()
    if outcomes != expected.OK
} - {"dev", "terminals-of-others", "i386-getpid", *HARMLESS}  # fmt: skip
COMPARED = sorted({*ATTEMPTS, *SAFE, "user-namespace"})


def judge(name: str, outcome: Any) -> str:
    """held; reached: the kernel's own code looked at it and refused its arguments; open."""
    if name == "user-namespace":
        return HELD if outcome[0][1] else OPEN  # the root inside is the host's root
    if name in SAFE:
        return HELD if outcome in SAFE[name] or outcome in REFUSALS else OPEN
    if outcome in REFUSALS or outcome in SAID:
        return HELD
    if isinstance(outcome, str) and outcome.startswith("made, "):
        return REACHED  # the node is there, a filter of the cgroup keeps it shut
    if isinstance(outcome, str) and outcome.startswith("E") and outcome.isupper():
        return REACHED
    return OPEN


def capabilities(outcomes: Mapping[str, Any]) -> int:
    return int(outcomes["capabilities-effective"], 16).bit_count()


def hidden(outcomes: Mapping[str, Any]) -> tuple[int, int]:
    """Of the paths that tell of the host: out of sight, there at all."""
    there = [name for name in outcomes if name.startswith("masked:") and outcomes[name] != "missing"]
    return sum(1 for name in there if outcomes[name] != "READABLE"), len(there)
