# SPDX-License-Identifier: GPL-3.0-or-later
"""The power fails at random while containers and images come and go: after the boot each is whole or gone."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from machine.qemu import Qemu

if TYPE_CHECKING:
    from .conftest import Mctl

COUNT, CUTS = 200, 5
LONGEST = 35.0  # seconds until a cut: the kernel may keep what is new to itself for 30 (vm.dirty_expire_centisecs)
CONTAINERS = "/var/lib/mctl/containers"
CREATE = """
import os, sys, time
from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection
manager = DBusAddress("/org/mctl1", "org.mctl1", "org.mctl1.Manager")
connection, root = open_dbus_connection("SYSTEM", enable_fds=True), os.open(sys.argv[1], os.O_PATH)
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    options = {"Rootfs": ("h", root), "Command": ("as", ["sleep", "1000000"])}
    made = connection.send_and_get_reply(
        new_method_call(manager, "CreateContainer", "sa{sv}t", (f"cut-{number}", options, 0)))
    if made.header.message_type is MessageType.error:
        sys.exit(f"cut-{number}: {made.body}")
    print(number + 1, flush=True)
    time.sleep(0.5)
"""
# One has a secret, one runs and writes, and one is removed again.
RUN = r"""
while number=$(cat /proc/sys/kernel/random/uuid | cut -c1-8); do
    mctl create --name word-$number --credential word:/run/power/word $1 sh -c 'cat "$CREDENTIALS_DIRECTORY"/word'
    mctl run -d --name ran-$number $1 sh -c 'echo written | dd of=/mark conv=fsync; exec sleep 1000000'
    mctl run -d --name gone-$number $1 sleep 1000000
    mctl rm -f gone-$number
done
"""
# Goes on by itself while this is watched, and ends with the power.
IMPORT = "while :; do mctl import --busybox && mctl rmi busybox; sleep 1; done"


def containers(mctl: Mctl) -> dict[str, dict[str, Any]]:
    found = json.loads(mctl("ps", "-a", "--json").text)
    return {container["Name"]: container for container in found if container["Name"] != "always"}


def begin(mctl: Mctl, first: int) -> None:
    for name, text in (("create.py", CREATE), ("run.sh", RUN), ("word", "secret\n")):
        mctl.machine.write(f"/run/power/{name}", text)
    unit = "systemd-run -q --collect -p StandardOutput=file:/run/power/reached --unit"
    mctl.shell(f"{unit}=creates python3 /run/power/create.py {mctl.rootfs} {first} {COUNT}")
    mctl.shell(f"systemd-run -q --collect --unit=runs sh /run/power/run.sh {mctl.rootfs}")
    mctl.shell(f"systemd-run -q --collect --unit=imports sh -c '{IMPORT}'")


def reached(mctl: Mctl, first: int) -> int:
    return max([first, *map(int, mctl.shell("cat /run/power/reached", check=False).text.split())])


def check(mctl: Mctl) -> None:
    """Each is whole: the list, the files and the database tell the same."""
    found = containers(mctl)
    assert {name.partition("-")[0] for name in found} <= {"cut", "word", "ran", "gone"}, found
    assert {container["State"] for container in found.values()} <= {"created", "exited"}, found
    identities = {container["Id"] for container in found.values()} | {mctl.properties("always")["Id"]}
    wait = f"for i in $(seq 300); do [ $(ls {CONTAINERS} | wc -l) = {len(identities)} ] && break; sleep 0.1; done"
    assert set(mctl.shell(f"{wait}; ls {CONTAINERS}").text.split()) == identities
    assert mctl.shell(f"find {CONTAINERS} -name record.json -size 0").text == ""
    for name in (name for name in found if not name.startswith("cut-")):
        if name.startswith("word-"):
            assert mctl("start", "-a", name).text == "secret\n"
        else:
            mctl("start", name)
        mctl("rm", "-f", name)
    mctl("image", "check", timeout=300)
    mctl.until("mctl system check")  # polkit may still be on its way


@pytest.mark.qemu
@pytest.mark.siege
@pytest.mark.allow_journal(r".*")  # whatever a boot has to say after that
def test_a_power_cut_leaves_nothing_half(mctl: Mctl) -> None:
    machine = mctl.machine
    assert isinstance(machine, Qemu)
    mctl("run", "-d", "--name", "always", "--restart", "always", mctl.rootfs, "sleep", "1000000")
    mctl.shell("sync")  # what was told to be there long ago
    chance, made = random.Random(11), 0
    for _ in range(CUTS):
        begin(mctl, made)
        time.sleep(chance.uniform(1.0, LONGEST))  # no state is waited for: any moment will do
        told = reached(mctl, made)
        machine.reset()
        mctl.shell("until [ $(mctl inspect --format '{{.State}}' always) = running ]; do sleep 0.1; done", timeout=120)
        found = containers(mctl)
        there = sum(name.startswith("cut-") for name in found)
        others = sorted(name for name in found if not name.startswith("cut-"))
        print(f"cut when {told} were made: {there} are there, and {', '.join(others)}")
        assert {name for name in found if name.startswith("cut-")} == {f"cut-{n}" for n in range(there)}
        check(mctl)
        made = there
    begin(mctl, made)
    mctl.shell("while systemctl -q is-active creates; do sleep 0.2; done", timeout=900)
    mctl.shell("systemctl stop imports runs")
    assert reached(mctl, made) == COUNT
    mctl.shell("rm -r /run/power; mctl ps -aq | xargs mctl rm -f", timeout=600)
    images = json.loads(mctl("images", "-a", "--json").stdout)  # an import that was cut off may have left one nameless
    if images:
        mctl("rmi", "-f", *{image["Id"] for image in images})
