# SPDX-License-Identifier: GPL-3.0-or-later
"""The API as standard tools see it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

INSTALLED = "/usr/share/dbus-1/interfaces"


def described(xml: str, interface: str) -> set[tuple[str, str, str]]:
    """Each member with its annotations and arguments, whatever the white space."""
    (found,) = [node for node in ElementTree.fromstring(xml).iter("interface") if node.get("name") == interface]
    return {
        (member.tag, member.get("name", ""), ElementTree.canonicalize(ElementTree.tostring(member), strip_text=True))
        for member in found
    }


@pytest.mark.parametrize(
    ("interface", "path"), [("org.mctl1.Manager", "/org/mctl1"), ("org.mctl1.Container", "/org/mctl1/container/seen")]
)
def test_introspection_is_the_installed_contract(mctl: Mctl, interface: str, path: str) -> None:
    mctl("create", "--name", "seen", mctl.rootfs, "true")
    live = mctl.shell(f"gdbus introspect --system -x -d org.mctl1 -o {path}").text
    installed = mctl.shell(f"cat {INSTALLED}/{interface}.xml").text
    assert described(live, interface) == described(installed, interface)
    assert all("DocString" in text for tag, _, text in described(live, interface) if tag != "annotation")


def test_busctl_shows_everything(mctl: Mctl) -> None:
    mctl("create", "--name", "my-web", mctl.rootfs, "true")
    assert "/org/mctl1/container/my_2dweb" in mctl.shell("busctl tree --list org.mctl1").text
    shown = mctl.shell("busctl introspect org.mctl1 /org/mctl1/container/my_2dweb").text
    assert '.Name property s "my-web"' in " ".join(shown.split())
    for member in (".Start", ".Stop", ".Kill", ".Remove", ".OpenLog", ".State", ".MemoryMax"):
        assert member in shown


def test_changes_are_told_to_those_who_subscribe(mctl: Mctl) -> None:
    subscriber = (
        "import sys; sys.path.append('/usr/lib/python3/dist-packages')\n"
        "from jeepney import DBusAddress, new_method_call\n"
        "from jeepney.io.blocking import open_dbus_connection\n"
        "c = open_dbus_connection('SYSTEM')\n"
        "c.send_and_get_reply(new_method_call("
        "DBusAddress('/org/mctl1', 'org.mctl1', 'org.mctl1.Manager'), 'Subscribe'))\n"
        "print('ready', flush=True)\n"
        "import time\n"
        "end = time.time() + 20\n"
        "while time.time() < end:\n"
        "    m = c.receive(timeout=20)\n"
        "    f = m.header.fields\n"
        "    print(f.get(3), m.body, flush=True)\n"
        "    if f.get(3) == 'InterfacesRemoved': break\n"
    )
    mctl.shell(f"cat > /tmp/subscriber.py <<'END'\n{subscriber}END\n")
    mctl.shell(
        "timeout 60 busctl monitor org.mctl1 > /tmp/all 2> /tmp/monitor & python3 /tmp/subscriber.py > /tmp/told & "
        "i=0; until grep -q Monitoring /tmp/monitor && grep -q ready /tmp/told; do "
        "i=$((i+1)); [ $i -lt 200 ] || exit 1; sleep 0.1; done; "
        f"mctl run --rm --name told {mctl.rootfs} true; wait $!; kill %1"
    )
    told = mctl.shell("cat /tmp/told").text
    for expected in ("InterfacesAdded", "'starting'", "'running'", "'exited'", "ContainerExited", "InterfacesRemoved"):
        assert expected in told, told
    assert "PropertiesChanged" in mctl.shell("cat /tmp/all; rm /tmp/all /tmp/monitor /tmp/told /tmp/subscriber.py").text


def test_the_service_is_activated_by_the_first_call(mctl: Mctl) -> None:
    mctl.shell("systemctl stop mctld.service")
    mctl("ps")
    assert mctl.shell("systemctl is-active mctld.service").text == "active\n"


def test_a_burst_of_calls_costs_no_name(mctl: Mctl) -> None:
    mctl("ps")
    pid = mctl.service_pid()
    script = "for i in $(seq 200); do mctl ps -a >/dev/null & done; wait; busctl tree org.mctl1 >/dev/null"
    mctl.shell(script, timeout=120)
    assert mctl.service_pid() == pid


def test_memory_of_the_service(mctl: Mctl) -> None:
    """mctld and the spawner together stay below 60 MiB."""
    for number in range(10):
        mctl.run("sleep", "1000", options=["-d", "--name", f"idle-{number}"])
    sum_up = "awk '/^Pss:/ {s += $2} END {print s}'"
    pids = "$(systemctl show -P MainPID mctld mctl-spawner | grep .)"
    total = mctl.shell(f"for p in {pids}; do cat /proc/$p/smaps_rollup; done | {sum_up}").text
    assert 0 < int(total) < 60 * 1024
