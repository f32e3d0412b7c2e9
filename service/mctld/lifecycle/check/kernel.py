# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel: its version, the system calls that every start makes, and its namespaces."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .finding import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .host import Host

LEAST = (5, 19)  # an overlay on idmapped layers, mount_setattr(2)
KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "uts")  # user namespaces have a check of their own
UPGRADE = "install a newer kernel: Debian 12 has Linux 6.1, Debian 13 has 6.12"


def release(text: str) -> Finding:
    """`text` as uname -r prints it."""
    numbers = re.match(r"(\d+)\.(\d+)", text)
    if numbers is None:
        return Finding(
            "kernel", Verdict.UNKNOWN, f"Linux {text!r}, which is no version", "Linux 5.19 or newer is needed."
        )
    if (int(numbers[1]), int(numbers[2])) < LEAST:
        return Finding(
            "kernel",
            Verdict.MISSING,
            f"Linux {text}, older than 5.19",
            "No container can be started: an overlay on idmapped directories came with Linux 5.19.",
            UPGRADE,
        )
    return Finding("kernel", Verdict.OK, f"Linux {text}", "All that containers are made of is in this version.")


def system_calls(refused: Mapping[str, str]) -> Finding:
    """`refused`: name of a call that does not answer, and why."""
    if refused:
        return Finding(
            "system-calls",
            Verdict.MISSING,
            ", ".join(f"{name}: {why}" for name, why in refused.items()),
            "No container can be started: each start makes these calls.",
            "'Function not implemented' is an old kernel, or a filter as 'Operation not permitted' is: "
            f"{UPGRADE}; inside another container let its seccomp profile allow them",
        )
    return Finding(
        "system-calls", Verdict.OK, "clone3, openat2, mount_setattr and others answer", "Starts can be made."
    )


@dataclass(frozen=True, slots=True)
class Namespaces:
    """By kind: whether the kernel has it, and how many of it the host may hold."""

    most: Mapping[str, int | None]


def read_namespaces(host: Host) -> Namespaces:
    there = [kind for kind in KINDS if host.there(f"/proc/self/ns/{kind}")]
    return Namespaces({kind: host.number(f"/proc/sys/user/max_{kind}_namespaces") for kind in there})


def namespaces(facts: Namespaces) -> Finding:
    absent = [kind for kind in KINDS if kind not in facts.most]
    forbidden = [kind for kind, most in facts.most.items() if most == 0]
    meaning = "No container can be started: each has namespaces of all kinds of its own."
    if absent:
        return Finding(
            "namespaces", Verdict.MISSING, f"the kernel has no {', '.join(absent)} namespaces", meaning,
            "install a kernel that is built with CONFIG_NAMESPACES and all below it",
        )  # fmt: skip
    if forbidden:
        return Finding(
            "namespaces",
            Verdict.MISSING,
            ", ".join(f"user.max_{kind}_namespaces is 0" for kind in forbidden),
            meaning,
            "; ".join(f"sysctl -w user.max_{kind}_namespaces=15000" for kind in forbidden),
        )
    return Finding("namespaces", Verdict.OK, ", ".join(KINDS), "Containers have their own of each.")
