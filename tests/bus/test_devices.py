# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices over the bus: by descriptor, and with consent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from dbus_next.signature import Variant

from bus.house import MANAGER, ROOT_UID, Client, House
from bus.polkit import YES
from mctld.bus.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path


async def create(client: Client, rootfs: Path, device: str, target: str, permissions: str) -> str:
    """The refusal, empty if there is none."""
    fds = [os.open(rootfs, os.O_RDONLY | os.O_DIRECTORY), os.open(device, os.O_PATH)]
    options = {
        "Rootfs": Variant("h", 0), "Command": Variant("as", ["/bin/true"]),
        "Devices": Variant("a(hss)", [[1, target, permissions]]),
    }  # fmt: skip
    try:
        await client.call(ROOT, MANAGER, "CreateContainer", "sa{sv}t", "web", options, 0, fds=fds)
    except Exception as error:
        return str(error)
    finally:
        for fd in fds:
            os.close(fd)
    return ""


async def test_a_device_is_its_numbers(house: House, tmp_path: Path) -> None:
    root = await house.client(ROOT_UID)
    assert await create(root, tmp_path, "/dev/null", "/dev/other", "") == ""
    (device,) = house.registry.containers["web"].spec.devices
    assert (device.path, device.node, device.target, device.permissions) == (
        "/dev/null", "/dev/char/1:3", "/dev/other", "rw",
    )  # fmt: skip
    assert await root.get("web", "Devices") == [["/dev/null", "/dev/other", "rw"]]


@pytest.mark.parametrize(
    ("device", "target", "permissions", "sentence"),
    [
        ("/etc/passwd", "/dev/x", "", "Devices /etc/passwd is not a device node"),
        ("/dev", "/dev/x", "", "is not a device node"),
        ("/dev/null", "", "", "Devices /dev/null is taken"),
        ("/dev/null", "/etc/x", "", "is not a plain path below /dev"),
        ("/dev/null", "/dev/x", "x", "must be some of r, w and m"),
    ],
)
async def test_what_is_refused(
    house: House, tmp_path: Path, device: str, target: str, permissions: str, sentence: str
) -> None:
    root = await house.client(ROOT_UID)
    assert sentence in await create(root, tmp_path, device, target, permissions)


@pytest.mark.skipif(os.geteuid() != 0, reason="playing the owner of a directory takes chown")
async def test_it_takes_consent(house: House, tmp_path: Path) -> None:
    os.chown(tmp_path, 1000, 1000)
    alice = await house.client(1000)
    house.polkit.decide = lambda _: YES
    assert await create(alice, tmp_path, "/dev/null", "/dev/x", "r") == ""
    (asked,) = house.polkit.asked
    assert asked.action == "org.mctl1.create-privileged"
    assert "the device /dev/null (read-only)" in asked.details["dangers"]
