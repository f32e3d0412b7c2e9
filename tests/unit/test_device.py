# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices that a container is given: where they may show, what may be done with them, and the rules of the cgroup."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from mctld.dangers import dangers
from mctld.device import Device
from mctld.encoding import decode, encode
from mctld.errors import InvalidArgs, SetupFailed
from mctld.lifecycle import devices
from mctld.runtime import nodes, planner
from mctld.security import Security
from mctld.systemd import scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from mctld.spec import Spec

FUSE = Device("/dev/fuse", 10, 229, False, "/dev/fuse")  # noqa: FBT003 (as fstat(2) tells it)
DISK = Device("/dev/sdb", 8, 16, True, "/dev/disk/data", "r")  # noqa: FBT003


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"target": "/etc/passwd"}, "Devices '/etc/passwd' is not a plain path below /dev"),
        ({"target": "/dev"}, "is not a plain path below /dev"),
        ({"target": "/dev/../etc"}, "is not a plain path below /dev"),
        ({"target": "/dev/a b"}, "is not a plain path below /dev"),
        ({"target": "/dev/" + "x" * 255}, "is not a plain path below /dev"),
        ({"target": "/dev/null"}, "Devices /dev/null is taken"),
        ({"target": "/dev/pts/0"}, "Devices /dev/pts/0 is taken"),
        ({"target": "/dev/shm/x"}, "is taken"),
        ({"permissions": ""}, "permissions '' must be some of r, w and m"),
        ({"permissions": "rr"}, "permissions 'rr' must be"),
        ({"permissions": "rx"}, "permissions 'rx' must be"),
        ({"path": "/dev/a\nb"}, "control character"),
    ],
)
def test_devices_that_are_refused(changes: dict[str, Any], sentence: str) -> None:
    given = {"path": "/dev/fuse", "major": 10, "minor": 229, "block": False, "target": "/dev/fuse"}
    with pytest.raises(InvalidArgs, match=sentence):
        Device(**{**given, **changes})


def test_no_two_at_one_place(make_spec: Callable[..., Spec]) -> None:
    below = Device("/dev/x", 1, 1, False, "/dev/fuse/x")  # noqa: FBT003
    for second in (FUSE, below):
        with pytest.raises(InvalidArgs, match="Devices has /dev/fuse twice"):
            make_spec(devices=(FUSE, second))
    many = tuple(Device("/dev/x", 1, n, False, f"/dev/x{n}") for n in range(13))  # noqa: FBT003
    with pytest.raises(InvalidArgs, match="Devices has 13 entries: the most is 12"):
        make_spec(devices=many)


def test_a_device_takes_consent_and_is_kept(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(devices=(FUSE, DISK))
    assert "the device /dev/fuse" in dangers(spec)
    assert "the device /dev/sdb (read-only)" in dangers(spec)
    assert decode(encode(spec)) == spec


def test_rules_allow_the_given_and_what_everybody_has() -> None:
    properties = {name: value.value for name, value in scope.device_properties([FUSE, DISK])}
    assert properties["DevicePolicy"] == "strict"
    assert properties["DeviceAllow"][-2:] == [["/dev/char/10:229", "rw"], ["/dev/block/8:16", "r"]]
    common = properties["DeviceAllow"][:-2]
    assert {mode for _, mode in common} == {"rw"}  # no m: nobody makes nodes
    names = {"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"}
    numbers = {os.stat(f"/dev/{name}").st_rdev for name in names if os.path.exists(f"/dev/{name}")}
    allowed = {node.removeprefix("/dev/char/") for node, _ in common}
    assert {f"{os.major(n)}:{os.minor(n)}" for n in numbers} <= allowed
    assert len(allowed) == len(names) + 1  # char-pts


def test_rules_are_where_they_matter(make_spec: Callable[..., Spec]) -> None:
    assert not devices.are_ruled(make_spec())
    assert devices.are_ruled(make_spec(devices=(FUSE,)))
    assert devices.are_ruled(make_spec(security=Security(user_namespace="host")))


def test_the_plan_shows_them(make_spec: Callable[..., Spec]) -> None:
    plan = planner.plan(make_spec(devices=(FUSE, DISK)), last_capability=40)
    shown = [s.arguments for s in plan.steps if s.operation == "device" and s.arguments["source"].startswith("device-")]
    assert shown == [
        {"source": "device-0", "target": "/dev/fuse"},
        {"source": "device-1", "target": "/dev/disk/data"},
    ]


def test_another_device_at_its_path_is_refused() -> None:
    null = os.stat("/dev/null").st_rdev
    nodes.check(Device("/dev/null", os.major(null), os.minor(null), False, "/dev/x"))  # noqa: FBT003
    for other in (
        Device("/dev/null", os.major(null), os.minor(null), True, "/dev/x"),  # noqa: FBT003
        Device("/dev/null", os.major(null), 200, False, "/dev/x"),  # noqa: FBT003
    ):
        with pytest.raises(SetupFailed, match=r"it is no longer .* `mctl update` gives it anew"):
            nodes.check(other)
    with pytest.raises(SetupFailed, match="give the device /dev/no: No such file"):
        nodes.check(Device("/dev/no", 1, 2, False, "/dev/x"))  # noqa: FBT003
