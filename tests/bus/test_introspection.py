# SPDX-License-Identifier: GPL-3.0-or-later
"""What introspection says is the contract, and what other people's tools make of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from bus.house import ALICE, CONTRACT, NAME, ROOT_UID, Client, House
from mctld.bus.paths import ROOT, container_path, exec_path, job_path, network_path, volume_path
from mctld.bus.peers import Credentials
from mctld.bus.standard import STANDARD

if TYPE_CHECKING:
    from collections.abc import Iterable

INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"


def plain(element: ET.Element) -> object:
    """What an element means, without spaces between."""
    return element.tag, sorted(element.attrib.items()), [plain(child) for child in element]


def declared() -> dict[str, object]:
    texts: Iterable[str] = [STANDARD]
    for file in os.listdir(CONTRACT):
        if file.endswith(".xml"):
            with open(os.path.join(CONTRACT, file), encoding="utf-8") as stream:
                texts = [*texts, stream.read()]
    return {i.attrib["name"]: plain(i) for text in texts for i in ET.fromstring(text).findall("interface")}


async def nodes(client: Client, path: str) -> tuple[dict[str, object], list[str]]:
    (text,) = await client.call(path, INTROSPECTABLE, "Introspect")
    tree = ET.fromstring(text)
    return (
        {i.attrib["name"]: plain(i) for i in tree.findall("interface")},
        [n.attrib["name"] for n in tree.findall("node")],
    )


async def test_introspection_is_the_contract(house: House, client: Client) -> None:
    house.registry.add("web-1", ALICE)
    house.registry.execs.add("e1", "web-1", ALICE, ALICE)
    house.registry.transfers.add("j1", ALICE)
    house.registry.volumes.add("data", ALICE)
    house.registry.networks.add("back-end", ALICE)
    basic = {"org.freedesktop.DBus.Peer", INTROSPECTABLE, "org.freedesktop.DBus.Properties"}
    expected = {
        "/": (basic, ["org"]),
        "/org": (basic, ["freedesktop", "mctl1"]),
        "/org/freedesktop": (basic, ["LogControl1"]),
        "/org/freedesktop/LogControl1": ({*basic, "org.freedesktop.LogControl1"}, []),
        ROOT: (
            {*basic, "org.mctl1.Manager", "org.freedesktop.DBus.ObjectManager"},
            ["container", "exec", "image", "job", "network", "volume"],
        ),
        f"{ROOT}/exec": (basic, ["e1"]),
        exec_path("e1"): ({*basic, "org.mctl1.Exec"}, []),
        f"{ROOT}/volume": (basic, ["data"]),
        volume_path("data"): ({*basic, "org.mctl1.Volume"}, []),
        f"{ROOT}/job": (basic, ["j1"]),
        job_path("j1"): ({*basic, "org.mctl1.Job"}, []),
        f"{ROOT}/network": (basic, ["back_2dend"]),
        network_path("back-end"): ({*basic, "org.mctl1.Network"}, []),
        f"{ROOT}/container": (basic, ["web_2d1"]),
        container_path("web-1"): ({*basic, "org.mctl1.Container"}, []),
    }
    contract = declared()
    for path, (names, children) in expected.items():
        interfaces, below = await nodes(client, path)
        assert set(interfaces) == names, path
        assert below == children
        for name, meaning in interfaces.items():
            assert meaning == contract[name], name


async def tool(house: House, *command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.fixture(autouse=True)
def everybody_is_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools come with names that the house has not given out."""

    async def root(self: House, sender: str) -> Credentials:
        return Credentials(self._uids.get(sender, ROOT_UID))

    monkeypatch.setattr(House, "_identify", root)


@pytest.mark.skipif(not shutil.which("busctl"), reason="busctl is not installed")
async def test_busctl(house: House) -> None:
    house.registry.add("web-1", ALICE)
    bus = ["busctl", f"--address={house.address}"]
    tree = await tool(house, *bus, "tree", "--list", NAME)
    assert container_path("web-1") in tree.split()
    shown = await tool(house, *bus, "introspect", NAME, container_path("web-1"))
    assert "org.mctl1.Container" in shown
    assert ".OpenLog" in shown
    assert '"created"' in shown
    assert (await tool(house, *bus, "call", NAME, ROOT, "org.mctl1.Manager", "GetContainer", "s", "web-1")).startswith(
        'o "/org/mctl1/container/web_2d1"'
    )


@pytest.mark.skipif(not shutil.which("gdbus"), reason="gdbus is not installed")
async def test_gdbus(house: House) -> None:
    house.registry.add("web-1", ALICE)
    shown = await tool(
        house, "gdbus", "introspect", f"--address={house.address}", "-d", NAME, "-o", container_path("web-1")
    )
    assert "readonly t CPUQuotaPerSecUSec = 18446744073709551615" in shown
