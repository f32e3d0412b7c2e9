# SPDX-License-Identifier: GPL-3.0-or-later
"""Every verdict on the kernel, from made-up facts; and the facts as they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mctld.lifecycle.check import kernel
from mctld.lifecycle.check.finding import Verdict
from mctld.lifecycle.check.host import Host
from mctld.lifecycle.check.kernel import KINDS, Namespaces

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("6.12.48+deb13-amd64", Verdict.OK),
        ("5.19.0-rc1", Verdict.OK),
        ("5.18.19", Verdict.MISSING),
        ("5.2.0", Verdict.MISSING),
        ("4.20", Verdict.MISSING),
        ("", Verdict.UNKNOWN),
        ("linux", Verdict.UNKNOWN),
    ],
)
def test_the_version_counts_by_number(text: str, verdict: Verdict) -> None:
    found = kernel.release(text)
    assert (found.name, found.verdict) == ("kernel", verdict)
    assert bool(found.remedy) == (verdict is Verdict.MISSING)


def test_system_calls() -> None:
    assert kernel.system_calls({}).verdict is Verdict.OK
    found = kernel.system_calls({"clone3": "Operation not permitted", "openat2": "Function not implemented"})
    assert found.verdict is Verdict.MISSING
    assert found.found == "clone3: Operation not permitted, openat2: Function not implemented"


def test_namespaces() -> None:
    everything: dict[str, int | None] = dict.fromkeys(KINDS, 1000)
    assert kernel.namespaces(Namespaces(everything)).verdict is Verdict.OK
    assert kernel.namespaces(Namespaces(everything | {"net": None})).verdict is Verdict.OK
    forbidden = kernel.namespaces(Namespaces(everything | {"net": 0}))
    assert forbidden.verdict is Verdict.MISSING
    assert forbidden.remedy == "sysctl -w user.max_net_namespaces=15000"
    absent = kernel.namespaces(Namespaces({kind: 1 for kind in KINDS if kind != "cgroup"}))
    assert (absent.verdict, absent.found) == (Verdict.MISSING, "the kernel has no cgroup namespaces")


def test_namespaces_are_read(tmp_path: Path) -> None:
    for path, text in (("proc/self/ns/net", ""), ("proc/self/ns/pid", ""), ("proc/sys/user/max_net_namespaces", "7\n")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert kernel.read_namespaces(Host(str(tmp_path))) == Namespaces({"net": 7, "pid": None})
