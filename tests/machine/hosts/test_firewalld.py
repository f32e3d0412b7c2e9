# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld beside us: its zones decide, its reload takes nothing of ours away, and ours nothing of its."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from machine.containers.test_publishing import ask, outside, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.containers.conftest import Mctl

__all__ = ["outside"]  # a fixture


@pytest.fixture
def firewalld(mctl: Mctl, outside: None) -> Iterator[None]:
    """As mctld(8) says: containers' bridges are trusted, and what the uplink brings is dropped."""
    mctl.shell("systemctl start firewalld.service")
    mctl.shell("firewall-cmd -q --permanent --zone=drop --add-interface=uplink")
    mctl.shell("firewall-cmd -q --permanent --zone=trusted --add-interface=mctl0; firewall-cmd -q --reload")
    yield
    mctl.shell("systemctl stop firewalld.service; rm -f /etc/firewalld/zones/*.xml*")


def reaches_outside(mctl: Mctl, address: str) -> bool:
    found = mctl.run("sh", "-c", f"nc -w 3 {address} 7 </dev/null", options=["--rm", "-q"], check=False)
    return found.text == "from outside\n"


def check(mctl: Mctl) -> None:
    for address in ("192.0.2.1", "2001:db8::1"):
        assert ask(mctl, address, 8080) == "hello from web"
    assert ask(mctl, "127.0.0.1", 8080, "host") == "hello from web"
    assert ask(mctl, "192.0.2.1", 9) == ""  # a port of the host's own, which the zone drops
    for address in ("192.0.2.2", "2001:db8::2"):
        assert reaches_outside(mctl, address)


def test_ports_and_the_way_out_survive_a_reload(mctl: Mctl, firewalld: None) -> None:
    listen = "busybox nc -ll -p {} -e /bin/echo {} >/dev/null 2>&1 &"
    mctl.shell(f"ip netns exec outside {listen.format(7, 'from outside')}")
    mctl.shell(f"{listen.format(9, 'from the host')} echo $! >/run/listener")
    serve(mctl, "web", "-p", "8080:80")
    check(mctl)
    ours = mctl.shell("nft list table inet mctl").text
    for words in ("--reload", "--complete-reload"):
        mctl.shell(f"firewall-cmd -q {words}")
        assert mctl.shell("nft list table inet mctl").text == ours
        check(mctl)
    mctl.shell("systemctl restart firewalld.service mctld.service")
    check(mctl)
    theirs = mctl.shell("nft list table inet firewalld").text
    mctl("rm", "-f", "web")
    assert mctl.shell("nft list table inet firewalld").text == theirs
    assert ask(mctl, "192.0.2.1", 8080) == ""
    mctl.shell("kill $(cat /run/listener); rm /run/listener")
