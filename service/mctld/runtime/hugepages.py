# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of huge pages (cgroup-v2.rst, HugeTLB). PID 1 has no properties for them and leaves the controller alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import SetupFailed

if TYPE_CHECKING:
    from ..limits import Rates

CONTROLLER = "hugetlb"
SIZES = "/sys/kernel/mm/hugepages"
STEP = "enforce HugeTLBMax"


def sizes() -> frozenset[str]:
    """Those of this host, in the words of the cgroup's files."""
    try:
        found = os.listdir(SIZES)
    except FileNotFoundError:  # a kernel without huge pages
        return frozenset()
    return frozenset(_word(int(name.removeprefix("hugepages-").removesuffix("kB"))) for name in found)


def _word(kib: int) -> str:
    for unit, shift in (("GB", 20), ("MB", 10)):
        if kib >> shift:
            return f"{kib >> shift}{unit}"
    return f"{kib}KB"


def check(asked: Rates) -> None:
    there = sizes()
    for size, _ in asked:
        if size not in there:
            found = " and ".join(sorted(there)) or "none"
            raise SetupFailed(STEP, f"there are no huge pages of {size}: this host has {found}")


def limit(hierarchy: str, control_group: str, asked: Rates, before: Rates = ()) -> None:
    """Of reservations too: who asks for more is told by mmap(2), and not by SIGBUS when it is used."""
    wanted = {size: "max" for size, _ in before} | {size: str(value) for size, value in asked}
    if wanted:
        _hand_down(hierarchy, control_group)
    for size, text in wanted.items():
        for file in (f"hugetlb.{size}.rsvd.max", f"hugetlb.{size}.max"):
            try:
                _write(f"{hierarchy}{control_group}/{file}", text)
            except OSError as error:
                raise SetupFailed(STEP, f"{file} does not take {text}: {error.strerror}") from error


def _hand_down(hierarchy: str, control_group: str) -> None:
    """The controller is enabled from the root to the cgroup above: a file of limits is there where all of them have."""
    above = hierarchy
    for part in control_group.strip("/").split("/"):
        file = f"{above}/cgroup.subtree_control"
        try:
            with open(file, encoding="ascii") as enabled:
                there = CONTROLLER in enabled.read().split()
            if not there:
                _write(file, f"+{CONTROLLER}")
        except OSError as error:
            raise SetupFailed(STEP, f"{above} does not hand the controller down: {error.strerror}") from error
        above = f"{above}/{part}"


def _write(path: str, text: str) -> None:
    """Never makes the file: in a cgroup the kernel would refuse with a word that says nothing."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
