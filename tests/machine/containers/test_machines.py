# SPDX-License-Identifier: GPL-3.0-or-later
"""A container that boots Debian: machinectl, journalctl -M and systemd-run -M know it, whatever becomes of us."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .test_manual import BLOCK, PAGES, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.guest import Machine

    from .conftest import Mctl

pytestmark = pytest.mark.nspawn
ROOT = "/srv/debian"
# The machine's own files, without what is large or starts something of ours; and none of its identity.
MAKE = f"""
mkdir -p {ROOT}; cd /
tar -c --exclude='usr/lib/python3*' --exclude=usr/lib/cni --exclude=usr/bin/docker-registry --exclude=usr/bin/skopeo \
    --exclude='etc/systemd/system/*.wants/*' --exclude=usr/share/doc --exclude=usr/share/locale \
    --exclude=usr/share/man --one-file-system usr bin sbin lib lib64 etc | tar -x -C {ROOT}
cd {ROOT}; mkdir -p proc sys dev run tmp root home var/log var/tmp var/lib
rm -f etc/machine-id; : > etc/machine-id
"""
INSIDE = '#!/bin/sh\nid -u | tr "\\n" " "; printf "(%s)" "$@"; cat; exit 7\n'  # an mctl that says how it was called
FORGOTTEN = "until [ -z \"$(machinectl list --no-legend)\" ]; do sleep 0.05; done"
ON_BUS = "/usr/share/dbus-1/system-services/org.freedesktop.machine1.service"
RELOAD = "busctl call org.freedesktop.DBus / org.freedesktop.DBus ReloadConfig"
KILLED = r"mctld\.service: (Failed with result 'signal'|Main process exited.*)"


@pytest.fixture(scope="module", autouse=True)
def debian(session_machine: Machine) -> Iterator[None]:
    session_machine.run(["sh", "-c", MAKE])
    yield
    session_machine.run(["rm", "-rf", ROOT])


@pytest.fixture(autouse=True)
def machined(mctl: Mctl) -> Iterator[None]:
    """Left as it was found: not running."""
    yield
    mctl.shell("systemctl stop systemd-machined.service")


def boot(mctl: Mctl) -> None:
    options = ["-d", "--name", "deb", "--machine", "--network", "none", "--sdnotify", "container"]
    mctl.run("/sbin/init", rootfs=ROOT, options=options)
    mctl("wait", "--ready", "deb")  # its own READY=1, when it has booted


def names(mctl: Mctl) -> list[str]:
    return [line.split()[0] for line in mctl.shell("machinectl list --no-legend").text.splitlines()]


def test_the_manuals_example(mctl: Mctl) -> None:
    """The one of mctl(1) that does not stand below EXAMPLES; with a network, as nothing else is said there."""
    (block,) = BLOCK.findall((PAGES / "mctl.1").read_text().partition(".SH EXAMPLES")[0])
    mctl.shell(plain(block))
    mctl.until("machinectl list --no-legend | grep -q '^deb '")
    assert mctl.properties("deb")["Command"] == ["/sbin/init"]
    mctl("rm", "-f", "deb")
    mctl.shell(FORGOTTEN)


@pytest.mark.allow_journal(KILLED)
def test_it_is_a_machine_like_any_other(mctl: Mctl) -> None:
    mctl.machine.run(["sh", "-c", f"cat > {ROOT}/usr/bin/mctl; chmod 755 {ROOT}/usr/bin/mctl"], input=INSIDE.encode())
    boot(mctl)
    assert mctl("exec", "deb", "systemctl", "--failed", "--no-legend").text == ""
    identity = mctl.properties("deb")["Id"]
    assert mctl.shell("machinectl list --no-legend").text.split()[:3] == ["deb", "container", "mctl"]
    assert "mctl-deb.scope" in mctl.shell("machinectl status deb").text
    mctl.shell("script -qec \"machinectl -q shell deb /bin/sh -c 'tr -d - < /etc/machine-id > /root/id'\" /dev/null")
    assert mctl("exec", "deb", "cat", "/root/id").text.strip() == identity
    run = mctl.shell("systemd-run -q -M deb --wait --pipe /bin/sh -c 'grep 0:: /proc/self/cgroup; exit 7'", check=False)
    assert (run.returncode, run.text.startswith("0::/system.slice/run-")) == (7, True)
    words = ("exec", "-i", "web", "sh", "-c", "echo $x $$ %n")
    there = mctl("-M", "deb", "--no-pager", *words, stdin=b"typed", check=False)
    assert (there.returncode, there.text) == (7, "0 (--no-pager)(exec)(-i)(web)(sh)(-c)(echo $x $$ %n)typed")
    assert mctl("-M", "daemon@deb", "ps", check=False).text == "1 (ps)"
    assert "Startup finished" in mctl.shell("journalctl -M deb -q -o cat").text

    mctl.shell("systemctl kill --signal=KILL mctld.service; systemctl restart systemd-machined.service")
    assert mctl.properties("deb")["State"] == "running"
    assert names(mctl) == ["deb"]
    mctl("exec", "deb", "true")

    mctl("restart", "deb")  # its name is free for itself, whether machined has seen the end or not
    assert names(mctl) == ["deb"]
    mctl("wait", "--ready", "deb")
    mctl("stop", "deb")
    found = mctl.properties("deb")
    assert (found["ExitHow"], found["ExitStatus"]) == ("exited", 0)
    mctl.shell(FORGOTTEN)
    mctl("rm", "deb")


def test_it_divides_its_cgroup_and_no_more(mctl: Mctl) -> None:
    boot(mctl)
    inside = "cd /sys/fs/cgroup; mkdir own; echo $$ > own/cgroup.procs && grep 0:: /proc/self/cgroup"
    assert mctl("exec", "deb", "sh", "-c", inside).text.strip() == "0::/own"
    refused = mctl("exec", "deb", "sh", "-c", "echo 1 > /sys/fs/cgroup/cgroup.max.descendants", check=False)
    assert refused.returncode != 0
    many = "cd /sys/fs/cgroup; mkdir $(seq -f many%g 4200) 2>/dev/null; echo many* | wc -w; rmdir many*"
    assert 3_900 < int(mctl("exec", "deb", "sh", "-c", many, timeout=120).text) <= 4_096  # PID 1 walks through them all
    assert "mctl-deb.scope" in mctl.shell("systemd-cgls --no-pager -u mctl-u0.slice").text
    mctl("rm", "-f", "deb")
    mctl.shell(FORGOTTEN)


@pytest.mark.allow_journal(KILLED)
def test_as_a_service_it_is_found_again(mctl: Mctl) -> None:
    """Its first process is in a cgroup below the unit's by then."""
    mctl("create", "--name", "deb", "--machine", "--network", "none", ROOT, "/sbin/init")
    mctl("enable", "deb")
    mctl.shell("systemctl start mctl@deb.service; systemctl kill --signal=KILL mctld.service")
    assert mctl.properties("deb")["State"] == "running"
    assert names(mctl) == ["deb"]
    assert "mctl@deb.service" in mctl.shell("machinectl status deb").text
    mctl("exec", "deb", "true")
    mctl.shell("machinectl poweroff deb")
    assert mctl("wait", "deb").text.strip() == "0"
    mctl.shell(FORGOTTEN)
    mctl("disable", "deb")
    mctl("rm", "deb")


def test_without_machined_it_says_what_to_install(mctl: Mctl) -> None:
    mctl.shell(f"mv {ON_BUS} /root/; {RELOAD}")
    try:
        refused = mctl("create", "--name", "deb", "--machine", ROOT, "/sbin/init", check=False)
    finally:
        mctl.shell(f"mv /root/{ON_BUS.rpartition('/')[2]} {ON_BUS}; {RELOAD}")
    assert refused.returncode == 125
    assert "this host has none: install the Debian package systemd-container" in refused.stderr.decode()
    assert mctl("ps", "-aq").text == ""
