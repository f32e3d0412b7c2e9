# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl inside the machine, with a root directory made of Debian's busybox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.guest import Machine, Result

MAKE_ROOTFS = """
set -e
for owner in root alice; do
    root=/srv/$owner; mkdir -p $root/bin $root/tmp
    cp /bin/busybox $root/bin/
    for applet in $($root/bin/busybox --list); do [ -e $root/bin/$applet ] || ln -s busybox $root/bin/$applet; done
    chown -R $owner: $root
done
"""
WARM = "mctl import --busybox > /dev/null; mctl rmi busybox > /dev/null"  # one more compiled filter
RULE = """
polkit.addRule(function(action, subject) {
    if (action.id == "org.mctl1.create" && subject.user == "alice") return polkit.Result.YES;
});
"""
RELOAD = "systemctl reset-failed polkit.service; systemctl restart polkit.service"
RULE_FILE = "/etc/polkit-1/rules.d/50-mctl-test.rules"

STORE = "/var/lib/mctl/images"
IMAGES_RULE = """
polkit.addRule(function(action, subject) {
    if (["org.mctl1.create", "org.mctl1.images"].indexOf(action.id) >= 0 && subject.user == "alice")
        return polkit.Result.YES;
});
"""
IMAGES_RULE_FILE = "/etc/polkit-1/rules.d/50-mctl-images.rules"


class Mctl:
    """The command line as a user types it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.rootfs = "/srv/root"

    def __call__(
        self, *argv: str, user: str | None = None, check: bool = True, timeout: float = 60, stdin: bytes | None = None
    ) -> Result:
        return self.machine.run(["mctl", *argv], user=user, check=check, timeout=timeout, input=stdin)

    def run(self, *argv: str, **how: Any) -> Result:
        """`mctl run` of the busybox directory; options go before the command."""
        options = list(how.pop("options", ()))
        return self("run", *options, how.pop("rootfs", self.rootfs), *argv, **how)

    def properties(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("inspect", "--pretty=false", name).stdout)
        return found

    def shell(self, script: str, *, check: bool = True, timeout: float = 60) -> Result:
        """As root in the machine, outside any container."""
        return self.machine.run(["sh", "-c", script], check=check, timeout=timeout)

    def until(self, condition: str) -> None:
        """A command for that shell succeeds: half a minute and more, for the machine may be slow."""
        again = f"for i in $(seq 300); do {{ {condition}; }} > /dev/null 2>&1 && exit; sleep 0.1; done; exit 1"
        self.shell(again, timeout=120)

    def service_pid(self) -> int:
        return int(self.shell("systemctl show -P MainPID mctld.service").text)

    def kill_service(self) -> None:
        """What is asked next is asked of the next one: the bus has seen this one go."""
        pid = self.service_pid()
        self.shell(f"kill -9 {pid}; while [ -e /proc/{pid} ]; do sleep 0.02; done")

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """Entries after the journal has taken in all that was written."""
        self.shell("journalctl --sync")
        lines = self.machine.run(["journalctl", "-q", "-a", "-o", "json", *matches], timeout=120).text.splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def rootfs(session_machine: Machine) -> str:
    # The first call makes mctl0. The time is for qemu without KVM on a busy host, and so is the start by hand:
    # dbus-daemon waits 25 s for a service that is activated by its name.
    first = f"{MAKE_ROOTFS} systemctl start mctld.service; mctl run --rm /srv/root true; {WARM}"
    session_machine.run(["sh", "-c", first], timeout=300)
    return "/srv/root"


@pytest.fixture
def mctl(machine: Machine, rootfs: str) -> Iterator[Mctl]:
    """Whatever a test leaves running is removed; what then remains is a leak."""
    made = Mctl(machine)
    assert made.rootfs == rootfs
    yield made
    names = made("ps", "-a", "-q").text.split()
    if names:
        made("rm", "-f", "-v", *names)


@pytest.fixture
def alice_may_create(machine: Machine) -> Iterator[None]:
    """As if alice sat at the machine: polkit's default for an active local session."""
    write = f"cat > {RULE_FILE}; {RELOAD}"
    machine.run(["sh", "-c", write], input=RULE.encode())
    yield
    machine.run(["sh", "-c", f"rm {RULE_FILE}; {RELOAD}"])


@pytest.fixture
def images(mctl: Mctl) -> Iterator[Mctl]:
    """Begins and ends without images, and then without a layer on the disk."""
    yield mctl
    containers = mctl("ps", "-a", "-q").text.split()
    if containers:
        mctl("rm", "-f", "-v", *containers)
    found = json.loads(mctl("images", "-a", "--json").stdout)
    if found:
        mctl("rmi", "-f", *{image["Id"] for image in found})
    assert settled(mctl) == ""
    assert mctl.shell(f"ls {STORE}/layers").text == ""


def settled(mctl: Mctl) -> str:
    """What is still there of layers that were made in vain or removed, when the service has had its time."""
    look = f"ls {STORE}/making {STORE}/trash | grep -v :"
    wait = f'for i in $(seq 500); do [ -z "$({look})" ] && break; sleep 0.1; done'
    return mctl.shell(f"{wait}; {look}; true").text.strip()


@pytest.fixture
def busybox(images: Mctl) -> Mctl:
    images("import", "--busybox")
    return images


@pytest.fixture
def alice_may_import(images: Mctl) -> Iterator[Mctl]:
    images.machine.run(["sh", "-c", f"cat > {IMAGES_RULE_FILE}; {RELOAD}"], input=IMAGES_RULE.encode())
    yield images
    images.machine.run(["sh", "-c", f"rm {IMAGES_RULE_FILE}; {RELOAD}"])
