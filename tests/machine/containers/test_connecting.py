# SPDX-License-Identifier: GPL-3.0-or-later
"""A container is connected to networks and taken from them while it runs, and while it does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .test_names import find, stay
from .test_network import KILLED
from .test_networks import ask, serve, tidy

if TYPE_CHECKING:
    from .conftest import Mctl

__all__ = ["tidy"]  # a fixture


def inside(mctl: Mctl, name: str, *words: str) -> str:
    return mctl("exec", name, *words).text


def addresses(mctl: Mctl, name: str) -> dict[str, str]:
    return {network: address for network, address, _ in mctl.properties(name)["Addresses"]}


@pytest.mark.allow_journal(KILLED)
def test_networks_come_and_go_while_it_runs(mctl: Mctl, tidy: None) -> None:
    mctl("network", "create", "--subnet", "10.77.0.0/24", "front")
    mctl("network", "create", "--subnet", "10.78.0.0/24", "back")
    serve(mctl, "server", "front")
    assert ask(mctl, addresses(mctl, "server")["front"], "back") == ""
    fixed = json.loads(mctl("network", "inspect", "back").text)["Subnet6"].replace("/64", "99:99")
    mctl("network", "connect", "--ip", "10.78.0.99", "--ip6", fixed, "back", "server")
    assert f"{fixed}/64" in inside(mctl, "server", "ip", "-6", "addr")
    assert mctl.properties("server")["Networks"] == ["front", "back"]
    assert "default via 10.77.0.1 dev eth0" in inside(mctl, "server", "ip", "route")
    stay(mctl, "client", "--network", "back")
    assert "10.78.0.99" in find(mctl, "client", "server").split()
    mctl.kill_service()
    assert ask(mctl, "10.78.0.99", "back") == "hello from server"
    mctl("network", "disconnect", "front", "server")
    assert addresses(mctl, "server") == {"back": "10.78.0.99"}
    assert "eth0" not in inside(mctl, "server", "ip", "link")
    assert "default via 10.78.0.1 dev eth1" in inside(mctl, "server", "ip", "route")
    assert "default via" in inside(mctl, "server", "ip", "-6", "route")
    assert ask(mctl, "10.78.0.99", "back") == "hello from server"
    mctl("stop", "-t", "0", "server")
    mctl("network", "connect", "front", "server")
    mctl("start", "server")
    assert set(addresses(mctl, "server")) == {"front", "back"}
    mctl("network", "disconnect", "back", "client")
    assert inside(mctl, "client", "ls", "/sys/class/net").split() == ["lo"]
    assert mctl("network", "rm", "back", check=False).returncode == 1
    mctl("network", "disconnect", "back", "server")
    mctl("network", "rm", "back")


def test_a_published_port_moves_to_the_network_that_is_left(mctl: Mctl, tidy: None) -> None:
    mctl("network", "create", "front")
    mctl.run("sh", "-c", "while :; do echo hello | nc -l -p 7; done", options=["-d", "--name", "web", "-p", "8077:7"])
    again = "i=$((i+1)); [ $i -lt 300 ] || exit; sleep .1"
    reach = f"i=0; until busybox nc -w 1 127.0.0.1 8077 </dev/null; do {again}; done"
    assert mctl.shell(reach).text == "hello\n"
    refused = mctl("network", "disconnect", "bridge", "web", check=False)
    assert "publishes ports by network 'bridge'" in refused.stderr.decode()
    assert mctl.shell(reach).text == "hello\n"
    mctl("network", "connect", "front", "web")
    mctl("network", "disconnect", "bridge", "web")
    assert mctl.shell(reach).text == "hello\n"
    assert addresses(mctl, "web")["front"] in mctl.shell("nft list map inet mctl any4").text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["connect", "missing", "one"], "there is no network 'missing'"),
        (["connect", "front", "nobody"], "there is no container 'nobody'"),
        (["connect", "bridge", "one"], "is connected to network 'bridge' already"),
        (["connect", "--ip", "10.77.0.1", "front", "one"], "is not one that network 'front' gives away"),
        (["connect", "--ip", "10.99.0.1", "front", "one"], "is not one that network 'front' gives away"),
        (["connect", "--ip", "10.77.0.9", "front", "one"], "address 10.77.0.9 of network 'front' is in use"),
        (["connect", "full", "one"], "all 5 addresses of network 'full'"),
        (["connect", "front"], "takes a network and a container"),
        (["disconnect", "front", "one"], "is not connected to network 'front'"),
        (["disconnect", "--ip", "10.77.0.9", "front", "one"], "network disconnect takes no --ip"),
    ],
)
def test_what_cannot_be(mctl: Mctl, tidy: None, words: list[str], sentence: str) -> None:
    mctl("network", "create", "--subnet", "10.77.0.0/24", "front")
    mctl("create", "--name", "other", "--network", "front", "--ip", "10.77.0.9", mctl.rootfs, "true")
    if "full" in words:
        mctl("network", "create", "--subnet", "10.76.0.0/29", "full")
        for number in range(5):
            mctl("create", "--name", f"c{number}", "--network", "full", mctl.rootfs, "true")
    stay(mctl, "one")
    before = mctl.properties("one")["Addresses"], inside(mctl, "one", "ip", "addr")
    refused = mctl("network", *words, check=False)
    assert refused.returncode in (1, 125)
    assert sentence in refused.stderr.decode()
    assert (mctl.properties("one")["Addresses"], inside(mctl, "one", "ip", "addr")) == before
