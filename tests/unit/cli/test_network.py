# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl network create: what goes over the bus, and what is refused before."""

from __future__ import annotations

from typing import Any

import pytest

from mctl.commands.network import creation
from mctl.failures import UsageError
from mctl.parser import find_verb, parse


def asked(*words: str) -> dict[str, tuple[str, Any]]:
    return creation(parse(find_verb(["network", "create", *words, "lan"])))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["--subnet", "10.1.0.0/24", "--internal"], {"Subnet": ("s", "10.1.0.0/24"), "Internal": ("b", True)}),
        (["--mtu", "1400"], {"MTU": ("t", 1400)}),
        (["-o", "mtu=1400"], {"MTU": ("t", 1400)}),
        (["--opt", "com.docker.network.driver.mtu=9000"], {"MTU": ("t", 9000)}),
        (["-d", "macvlan", "--parent", "eth0"], {"Driver": ("s", "macvlan"), "Parent": ("s", "eth0")}),
        (["-o", "parent=eth0", "--opt=macvlan_mode=vepa"], {"Parent": ("s", "eth0"), "Mode": ("s", "vepa")}),
        (["--subnet", "fd00::/64", "--subnet", "10.1.0.0/24"],
         {"Subnet6": ("s", "fd00::/64"), "Subnet": ("s", "10.1.0.0/24")}),
        (["--gateway", "10.1.0.9", "--gateway", "fe80::1"],
         {"Gateway": ("s", "10.1.0.9"), "Gateway6": ("s", "fe80::1")}),
        (["--ip-range", "10.1.0.64/26", "--mode", "private", "--shared"],
         {"AddressRange": ("s", "10.1.0.64/26"), "Mode": ("s", "private"), "Shared": ("b", True)}),
    ],
)  # fmt: skip
def test_what_is_asked_for(words: list[str], expected: dict[str, tuple[str, Any]]) -> None:
    assert asked(*words) == expected


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--subnet", "10.1.0.0/24", "--subnet", "10.2.0.0/24"], "--subnet '10.2.0.0/24': another one was given"),
        (["--parent", "eth0", "-o", "parent=eth1"], "--opt parent 'eth1': another one"),
        (["-o", "parent"], "--opt 'parent' is not known: give mtu=BYTES, parent=INTERFACE or mode=MODE"),
        (["-o", "ipvlan_mode=l2"], "is not known"),
        (["--mtu", "1k"], "--mtu '1k' is not a number of bytes, as in 1450"),
        (["-o", "mtu=-1"], "--opt mtu '-1' is not a number of bytes, as in 1450"),
        (["--mtu", "1400", "-o", "mtu=1400"], "--mtu 1400: another one was given"),
    ],
)
def test_what_is_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        asked(*words)
