# SPDX-License-Identifier: GPL-3.0-or-later
"""What containers use, as the kernel counts it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conftest import Mctl

SENT = 4 << 20


def once(mctl: Mctl, *names: str) -> dict[str, dict[str, Any]]:
    found = json.loads(mctl("stats", "--no-stream", "--json=short", *names).stdout)
    return {each["Name"]: each for each in found}


def test_who_works_and_who_rests(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "while :; do :; done", options=["-d", "--name", "busy"])
    mctl.run("sleep", "1000", options=["-d", "--name", "idle", "--network", "none"])
    found = once(mctl)
    assert float(found["busy"]["CPU"]) > 20 > 5 > float(found["idle"]["CPU"])
    assert found["idle"]["NetworkReceivedBytes"] is None
    assert found["busy"]["NetworkReceivedBytes"] is not None
    assert set(once(mctl, "idle")) == {"idle"}
    controllers = mctl.shell("cat /sys/fs/cgroup/cgroup.controllers").text.split()
    if "memory" in controllers:
        assert 0 < found["idle"]["MemoryCurrent"] <= found["idle"]["MemoryPeak"]
    if "pids" in controllers:
        assert found["idle"]["TasksCurrent"] == 1


def test_what_goes_over_the_hosts_network_is_told_of_its_processes(mctl: Mctl) -> None:
    """As a scope and as a service."""
    make = f"head -c {SENT} /dev/zero >/tmp/file"
    for port, name in ((7101, "scope"), (7102, "service")):
        fetch = f"until wget -q -O /tmp/copy http://127.0.0.1:{port}/file; do sleep 0.1; done"
        script = f"{make}; httpd -p 127.0.0.1:{port} -h /tmp; {fetch}; echo done; sleep 1000"
        mctl("create", "--name", name, "--network", "host", mctl.rootfs, "sh", "-c", script)
    mctl("enable", "service")
    mctl("start", "scope", "service")
    mctl.shell("for i in scope service; do until mctl logs $i | grep -q done; do sleep 0.1; done; done", timeout=60)
    for told in once(mctl, "scope", "service").values():
        for way in ("Received", "Sent"):
            assert 2 * SENT > told[f"Network{way}Bytes"] > SENT
            assert told[f"Network{way}Bytes"] > told[f"Network{way}Packets"] > 10


def test_what_goes_over_the_network_is_told_from_inside(mctl: Mctl) -> None:
    serve = f"head -c {SENT} /dev/zero > /tmp/file; httpd -f -p 80 -h /tmp"
    mctl.run("sh", "-c", serve, options=["-d", "--name", "server"])
    address = mctl.properties("server")["Addresses"][0][1]
    fetch = f"until wget -q -O /tmp/file http://{address}/file; do sleep 0.1; done; wc -c < /tmp/file; sleep 1000"
    mctl.run("sh", "-c", fetch, options=["-d", "--name", "client"])
    mctl.shell(f"until mctl logs client | grep -q {SENT}; do sleep 0.1; done", timeout=60)
    found = once(mctl)
    assert found["client"]["NetworkReceivedBytes"] > SENT > found["client"]["NetworkSentBytes"]
    assert found["server"]["NetworkSentBytes"] > SENT > found["server"]["NetworkReceivedBytes"]
    for end in found.values():
        assert end["NetworkReceivedBytes"] > end["NetworkReceivedPackets"] > 10 < end["NetworkSentPackets"]
