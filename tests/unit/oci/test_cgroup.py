# SPDX-License-Identifier: GPL-3.0-or-later
"""Places of cgroups, the properties of scopes, D-Bus messages, and the program that judges devices."""

from __future__ import annotations

import errno
import itertools
import os
import struct
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.message import Message
from dbus_next.signature import Variant

from mctld.errors import InvalidArgs
from mctld.oci.cgroup import files, rules, scope, wire
from mctld.oci.cgroup import place as places
from mctld.oci.devices import ALL, Rule

if TYPE_CHECKING:
    from pathlib import Path

INFINITY = 2**64 - 1


@pytest.fixture(autouse=True)
def systemd_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "booted_with_systemd", lambda: True)
    monkeypatch.setattr(os.path, "exists", lambda _: True)


@pytest.mark.parametrize(
    ("path", "manager", "expected"),
    [
        ("", "", ("systemd", "mctl-oci-one.scope", "system.slice", "")),
        ("a.slice:libpod:one", "", ("systemd", "libpod-one.scope", "a.slice", "")),
        ("a.slice:libpod:one", "systemd", ("systemd", "libpod-one.scope", "a.slice", "")),
        (":cri:one", "systemd", ("systemd", "cri-one.scope", "system.slice", "")),
        ("::one", "systemd", ("systemd", "one.scope", "system.slice", "")),
        ("/docker/one", "", ("cgroupfs", "", "", "/docker/one")),
        ("docker/one", "", ("cgroupfs", "", "", "/docker/one")),
        ("", "cgroupfs", ("cgroupfs", "", "", "/mctl-oci-one")),
        ("a.slice:libpod:one", "cgroupfs", ("cgroupfs", "", "", "/a.slice:libpod:one")),
        ("/x", "disabled", ("disabled", "", "", "")),
    ],
)
def test_where_a_cgroup_is(path: str, manager: str, expected: tuple[str, ...]) -> None:
    found = places.find(path, "one", manager, user=False)
    assert (found.manager, found.unit, found.slice, found.path) == expected


def test_whoever_can_have_no_cgroup_and_asks_for_none_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """podman without root, on a host where the user has no systemd on a bus."""
    monkeypatch.setattr(places, "has_manager", lambda: False)
    assert places.find("", "one", "", user=True).manager == "disabled"
    assert places.find("", "one", "systemd", user=True).manager == "systemd"
    assert places.find("user.slice:libpod:one", "one", "", user=True).manager == "systemd"
    assert places.find("/x", "one", "", user=True).manager == "cgroupfs"
    monkeypatch.setattr(places, "has_manager", lambda: True)
    assert places.find("", "one", "", user=True).slice == "user.slice"


@pytest.mark.parametrize(
    ("address", "expected"), [("unix:path=/nowhere/bus", False), ("unix:abstract=bus", True)], ids=["path", "abstract"]
)
def test_whether_a_user_has_a_systemd(monkeypatch: pytest.MonkeyPatch, address: str, expected: bool) -> None:  # noqa: FBT001
    monkeypatch.setattr(os.path, "exists", lambda _: False)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    assert places.has_manager() is expected


@pytest.mark.parametrize(
    ("path", "manager", "sentence"),
    [
        ("/docker/one", "systemd", "slice:prefix:name"),
        ("a:b:c:d", "systemd", "slice:prefix:name"),
        ("nope:x:one", "systemd", "must end with .slice"),
        ("a.slice:x:o\nne", "systemd", "not the name of a unit"),
        ("a.slice:x:o ne", "systemd", "not the name of a unit"),
        ("/../x", "cgroupfs", "below /sys/fs/cgroup"),
        ("/", "cgroupfs", "below /sys/fs/cgroup"),
    ],
)
def test_places_that_are_none(path: str, manager: str, sentence: str) -> None:
    with pytest.raises(InvalidArgs, match=sentence):
        places.find(path, "one", manager, user=False)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (("memory.max", "5"), [("MemoryMax", ("t", 5))]),
        (("memory.max", "max"), [("MemoryMax", ("t", INFINITY))]),
        (("memory.swap.max", "0"), [("MemorySwapMax", ("t", 0))]),
        (("pids.max", "7"), [("TasksMax", ("t", 7))]),
        (("cpu.weight", "39"), [("CPUWeight", ("t", 39))]),
        (("cpu.max", "50000 100000"), [("CPUQuotaPerSecUSec", ("t", 500_000)), ("CPUQuotaPeriodUSec", ("t", 100_000))]),
        (("cpu.max", "max 5"), [("CPUQuotaPerSecUSec", ("t", INFINITY)), ("CPUQuotaPeriodUSec", ("t", 5))]),
        (("cpuset.cpus", "0,2"), [("AllowedCPUs", ("ay", b"\5"))]),
        (("io.max", "8:0 rbps=5"), []),
    ],
)
def test_limits_that_pid_1_knows(limit: tuple[str, str], expected: list[Any]) -> None:
    found = scope.limit_properties([limit])
    assert [(name, (kind, bytes(held) if kind == "ay" else held)) for name, (kind, held) in found] == expected


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("TimeoutStopUSec", "uint64 5", ("TimeoutStopUSec", ("t", 5))),
        ("TimeoutStopSec", "uint64 5", ("TimeoutStopUSec", ("t", 5_000_000))),
        ("KillSignal", "15", ("KillSignal", ("i", 15))),
        ("SendSIGKILL", "true", ("SendSIGKILL", ("b", True))),
        ("CollectMode", "'inactive'", ("CollectMode", ("s", "inactive"))),
        ("After", "['a.service', 'b.service']", ("After", ("as", ["a.service", "b.service"]))),
        ("Before", "[]", ("Before", ("as", []))),
    ],
)
def test_annotations_are_properties(key: str, text: str, expected: tuple[str, Any]) -> None:
    found = scope.properties(places.Place("systemd", "x.scope", "y.slice"), "x", 5, [], {scope.ANNOTATION + key: text})
    assert expected in found


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("Slice", "'x.slice'"), ("PIDs", "[]"), ("Description", "'x'"), ("lower", "5"), ("Foo\nBar", "5"),
        ("Documentation", "'x\n[Service]'"), ("Documentation", "'a\\'b'"), ("X", "5 6"), ("X", "[5]"), ("X", ""),
    ],
)  # fmt: skip
def test_annotations_that_are_none(key: str, text: str) -> None:
    """A newline in a unit's text would be a line of the unit file after the next daemon-reload."""
    with pytest.raises(InvalidArgs, match="annotation"):
        scope.properties(places.Place("systemd", "x.scope", "y.slice"), "x", 5, [], {scope.ANNOTATION + key: text})


def test_messages_are_those_of_another_implementation() -> None:
    body = ["x.scope", "fail", [["PIDs", Variant("au", [1, 2])], ["Delegate", Variant("b", True)]], []]  # noqa: FBT003
    theirs = Message("a.b", "/c", "d.e", "Start", signature="ssa(sv)a(sa(sv))", body=body, serial=7)._marshall()
    ours = wire.call(
        7, "a.b", "/c", "d.e", "Start", "ssa(sv)a(sa(sv))",
        ("x.scope", "fail", [("PIDs", ("au", [1, 2])), ("Delegate", ("b", True))], []),
    )  # fmt: skip
    for made in (theirs, ours):
        parsed = wire.parse(made)
        assert wire.size(made[:16]) == len(made)
        assert parsed.body == ["x.scope", "fail", [["PIDs", [1, 2]], ["Delegate", 1]], []]
        assert parsed.fields == {1: "/c", 2: "d.e", 3: "Start", 6: "a.b", 8: "ssa(sv)a(sa(sv))"}


class Machine:
    """As much of eBPF as the program of devices uses."""

    def __init__(self, program: bytes) -> None:
        self._code = [struct.unpack_from("<BBhi", program, at) for at in range(0, len(program), 8)]

    def allows(self, kind: str, major: int, minor: int, access: str) -> bool:
        bits = sum(rules.BITS[letter] for letter in access)
        context = {0: bits << 16 | rules.KINDS[kind], 4: major, 8: minor}
        registers, at = [0] * 11, 0
        for _ in range(10_000):
            op, places_, offset, number = self._code[at]
            target, source = places_ & 15, places_ >> 4
            at += 1
            match op:
                case 0x61:
                    assert source == 1
                    registers[target] = context[offset]
                case 0x54:
                    registers[target] &= number
                case 0x74:
                    registers[target] >>= number
                case 0xB7:
                    registers[target] = number
                case 0x55:
                    at += offset if registers[target] != number else 0
                case 0x45:
                    at += offset if registers[target] & number else 0
                case 0x05:
                    at += offset
                case 0x95:
                    return bool(registers[0])
                case _:
                    raise AssertionError(op)
        raise AssertionError("endless")


DENY = Rule(allow=False, kind="a", major=ALL, minor=ALL, access="rwm")


def rule(kind: str, major: int, minor: int, access: str, *, allow: bool = True) -> Rule:
    return Rule(allow=allow, kind=kind, major=major, minor=minor, access=access)


CASES: list[tuple[list[Rule], tuple[str, int, int, str], bool]] = [
    ([], ("c", 1, 3, "r"), False),
    ([DENY], ("b", 8, 0, "m"), False),
    ([Rule(allow=True, kind="a", major=ALL, minor=ALL, access="rwm")], ("b", 8, 0, "rwm"), True),
    ([DENY, rule("c", 1, 3, "rw")], ("c", 1, 3, "rw"), True),
    ([DENY, rule("c", 1, 3, "rw")], ("c", 1, 3, "r"), True),
    ([DENY, rule("c", 1, 3, "rw")], ("c", 1, 3, "rwm"), False),
    ([DENY, rule("c", 1, 3, "rw")], ("b", 1, 3, "r"), False),
    ([DENY, rule("c", 1, 3, "rw")], ("c", 1, 4, "r"), False),
    ([DENY, rule("c", 1, ALL, "r")], ("c", 1, 200, "r"), True),
    ([DENY, rule("c", ALL, ALL, "m")], ("c", 5, 5, "m"), True),
    ([DENY, rule("c", ALL, ALL, "m")], ("c", 5, 5, "r"), False),
    ([DENY, rule("c", 1, 3, "r"), rule("c", 1, 3, "w")], ("c", 1, 3, "rw"), True),
    ([DENY, rule("c", 1, 3, "rw"), rule("c", 1, 3, "w", allow=False)], ("c", 1, 3, "w"), False),
    ([DENY, rule("c", 1, 3, "rw"), rule("c", 1, 3, "w", allow=False)], ("c", 1, 3, "r"), True),
    ([rule("a", ALL, ALL, "rwm"), rule("b", 8, 0, "w", allow=False)], ("b", 8, 0, "rw"), False),
    ([rule("a", ALL, ALL, "rwm"), rule("b", 8, 0, "w", allow=False)], ("b", 8, 0, "r"), True),
    ([rule("a", ALL, ALL, "rwm"), DENY], ("b", 8, 0, "r"), False),
]


@pytest.mark.parametrize(("given", "asked", "allowed"), CASES)
def test_the_program_for_devices(given: list[Rule], asked: tuple[str, int, int, str], *, allowed: bool) -> None:
    assert Machine(rules.compile_rules(given)).allows(*asked) == allowed


def test_the_program_agrees_with_the_list() -> None:
    """One exception among others does not change what is asked of them."""
    given = [DENY, rule("c", 1, 3, "r"), rule("b", 8, ALL, "rw"), rule("c", 10, 229, "rwm")]
    machine = Machine(rules.compile_rules(given))
    for kind, major, minor, access in itertools.product("cb", (1, 8, 10), (0, 3, 229), ("r", "w", "rw", "m")):
        expected = any(
            r.allow and r.kind == kind and r.major == major and r.minor in (ALL, minor) and set(access) <= set(r.access)
            for r in given
        )
        assert machine.allows(kind, major, minor, access) == expected


def test_a_cgroup_that_goes_while_it_is_looked_at_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    assert files.is_emptied(str(tmp_path))
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")

    def gone(*_: object) -> bytes:
        raise OSError(errno.ENODEV, "No such device")  # as kernfs has it for a file that is open

    monkeypatch.setattr(os, "pread", gone)
    assert files.is_emptied(str(tmp_path))
    assert files.is_emptied(str(tmp_path / "gone before"))
