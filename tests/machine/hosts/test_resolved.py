# SPDX-License-Identifier: GPL-3.0-or-later
"""NAME.mctl with the real systemd-resolved, whichever of the two was there first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from machine.containers.conftest import Mctl

AGAIN = "i=0; until {}; do i=$((i+1)); [ $i -lt 200 ] || exit 1; sleep .1; done"


def found(mctl: Mctl, name: str, *, family: int = 4) -> str:
    """The address, by way of the stub that programs ask."""
    kind = "A" if family == 4 else "AAAA"
    return mctl.shell(f"dig +short +time=3 +tries=1 @127.0.0.53 {name} {kind}", check=False).text.strip()


def test_names_of_containers_on_the_host(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "early"])
    mctl.shell("systemctl start systemd-resolved.service")
    mctl.run("sleep", "1000", options=["-d", "--name", "web"])
    for name in ("early", "web"):
        _, address, address6 = mctl.properties(name)["Addresses"][0]
        mctl.shell(AGAIN.format(f"dig +short @127.0.0.53 {name}.mctl | grep -qx {address}"))
        assert found(mctl, f"{name}.mctl", family=6) == address6
        assert address in mctl.shell(f"resolvectl query {name}.mctl", check=False).text
    assert found(mctl, "none.mctl") == ""
    assert "~mctl" in mctl.shell("resolvectl domain mctl0").text
    inside = mctl.run("nslookup", "web.mctl", options=["--rm", "-q"], check=False)
    assert mctl.properties("web")["Addresses"][0][1] in inside.text
    mctl.shell("systemctl restart systemd-resolved.service mctld.service")
    mctl.shell(AGAIN.format(f"dig +short @127.0.0.53 web.mctl | grep -qx {mctl.properties('web')['Addresses'][0][1]}"))
    mctl("rm", "-f", "web")
    mctl.shell(AGAIN.format("! dig +short @127.0.0.53 web.mctl | grep -q ."))  # resolved keeps it for its time to live
    mctl.shell("mkdir -p /etc/mctl; printf '[Network]\\nHostNames=no\\n' >/etc/mctl/mctld.conf")
    mctl.shell("systemctl restart mctld.service")
    mctl.run("sleep", "1000", options=["-d", "--name", "hidden"])
    mctl.shell(AGAIN.format("! resolvectl domain mctl0 | grep -q mctl$"))
    assert found(mctl, "hidden.mctl") == ""
    mctl.shell("rm /etc/mctl/mctld.conf; systemctl restart mctld; systemctl stop systemd-resolved")
