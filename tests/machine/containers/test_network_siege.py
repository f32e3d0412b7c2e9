# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand containers come and go, two hundred come at once: nobody gets what another has, and nothing is left.

Takes minutes, so only with --siege.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .test_networks import tidy

if TYPE_CHECKING:
    from .conftest import Mctl

__all__ = ["tidy"]  # a fixture

CYCLES, AT_ONCE, WORKERS = 1_000, 200, 8
LEASES = "import sqlite3; print(*sqlite3.connect('/var/lib/mctl/state.db').execute('SELECT * FROM lease'))"
SPACES = "for p in /proc/[0-9]*; do readlink $p/ns/net; done 2>/dev/null | sort -u | wc -l"


def left(mctl: Mctl) -> dict[str, str]:
    """What there is of containers' networks: links, leases, elements of maps, namespaces, names."""
    maps = [json.loads(mctl.shell(f"nft -j list map inet mctl {name}").text)["nftables"][-1]["map"].get("elem", [])
            for name in ("any4", "at4", "any6", "at6")]  # fmt: skip
    return {
        "links": mctl.shell("ip -o link | grep -o 'mctl[0-9a-f]\\{10\\}' || true").text,
        "leases": mctl.machine.run(["python3", "-c", LEASES]).text.strip(),
        "elements": str([element for found in maps for element in found]),
        "namespaces": mctl.shell(SPACES).text,
        "descriptors": mctl.shell(f"ls /proc/{mctl.service_pid()}/fd | wc -l").text,
    }


def settled(mctl: Mctl, before: dict[str, str]) -> dict[str, str]:
    """The kernel frees a namespace and its links some time after its last process."""
    for _ in range(50):
        now = left(mctl)
        if now == before:
            break
        mctl.shell("sleep .2")
    return now


@pytest.mark.siege
def test_a_thousand_come_and_go(mctl: Mctl, tidy: None) -> None:
    mctl("network", "create", "second")
    options = "--rm -q -p 80 -p 127.0.0.2::53/udp --network bridge --network second"
    run = f"mctl run {options} {mctl.rootfs} sh -c"
    inside = "'ip -4 -o addr show eth1 >/dev/null && ip -6 route | grep -q default && exit 23'"
    mctl.run("true", options=options.split())
    before = left(mctl)
    script = f'seq {CYCLES} | xargs -P {WORKERS} -I@ sh -c "{run} {inside}; echo \\$?" | sort | uniq -c'
    counted = mctl.shell(script, timeout=900).text.split()
    print(counted)
    assert counted == [str(CYCLES), "23"]
    assert settled(mctl, before) == before


@pytest.mark.siege
def test_two_hundred_come_at_once(mctl: Mctl) -> None:
    mctl.run("true", options=["--rm", "-q", "-p", "80"])
    before = left(mctl)
    run = f"mctl run -d -q -p 80 --name c@ {mctl.rootfs} sleep 1000"
    mctl.shell(f"seq {AT_ONCE} | xargs -P {AT_ONCE} -I@ {run} >/dev/null", timeout=600)
    listed = json.loads(mctl("ps", "--json=short").text)
    assert len(listed) == AT_ONCE
    for column in (1, 2):
        assert len({container["Addresses"][0][column] for container in listed}) == AT_ONCE
    assert len({container["Ports"][0][2] for container in listed}) == AT_ONCE
    elements = json.loads(mctl.shell("nft -j list map inet mctl any4").text)["nftables"][-1]["map"]["elem"]
    assert {value["concat"][0] for _, value in elements} == {c["Addresses"][0][1] for c in listed}
    assert len(mctl.shell("ip -o link show master mctl0 up").text.splitlines()) == AT_ONCE
    mctl("rm", "-f", *(container["Name"] for container in listed), timeout=300)
    after = settled(mctl, before)

    assert after == before
