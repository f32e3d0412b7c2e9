# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing is all the set-up there is; upgrades disturb no container; a purge leaves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from machine import host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from machine.guest import Machine

pytestmark = pytest.mark.nspawn

SERVICES = ("mctld.service", "mctl-spawner.service")
ROOTFS = "mkdir -p /srv/package/bin; cp /bin/busybox /srv/package/bin/; ln -sf busybox /srv/package/bin/sh"
PATIENT = "trap exit TERM; while :; do busybox sleep 1; done"  # PID 1 gets no signal without a handler
KEPT = "! -path /root/* ! -path /var/cache/man/*"  # what the tests brought, and what man-db formatted
LAUNCHERS = {"/usr/bin/mctl": "cli/bin/mctl", "/usr/libexec/mctld": "service/bin/mctld",
             "/usr/libexec/mctl-spawner": "service/bin/mctl-spawner"}  # fmt: skip


def main_pid(machine: Machine, unit: str) -> int:
    return int(machine.run(["systemctl", "show", "-P", "MainPID", unit]).text)


def is_active(machine: Machine, unit: str) -> bool:
    return machine.run(["systemctl", "is-active", "--quiet", unit], check=False).returncode == 0


@pytest.fixture
def sleeper(machine: Machine) -> Iterator[int]:
    """The PID of a running container named sleeper; the package is back at the end, whatever the test did."""
    machine.run(["sh", "-ec", ROOTFS])
    machine.run(["systemctl", "reset-failed"])
    machine.run(["mctl", "run", "-d", "--name", "sleeper", "/srv/package", "/bin/sh", "-c", PATIENT])
    yield int(machine.run(["mctl", "inspect", "--format", "{{.MainPID}}", "sleeper"]).text)
    machine.run(["dpkg", "-i", "/root/mctl.deb"])
    machine.run(["mctl", "rm", "-f", "sleeper"], check=False)
    machine.run(["rm", "-r", "/srv/package"])


@pytest.mark.parametrize(("installed", "source"), LAUNCHERS.items())
def test_launchers_are_installed_unchanged(machine: Machine, installed: str, source: str) -> None:
    assert machine.read(installed) == (host.TREE / source).read_bytes()
    assert machine.run(["stat", "-c", "%a %U", installed]).text == "755 root\n"


@pytest.mark.parametrize(("source", "installed"), [
    ("units", "/usr/lib/systemd/system"), ("polkit", "/usr/share/polkit-1/actions"),
    ("dbus", "/usr/share/dbus-1/interfaces")])  # fmt: skip
def test_every_file_of_the_tree_is_installed(machine: Machine, source: str, installed: str) -> None:
    suffixes = {"units": (".service", ".socket", ".slice"), "polkit": (".policy",), "dbus": (".xml",)}[source]
    names = [path.name for path in (host.TREE / source).iterdir() if path.name.endswith(suffixes)]
    assert names
    for name in names:
        assert machine.read(f"{installed}/{name}") == (host.TREE / source / name).read_bytes()


def test_the_example_rules_are_in_the_package_and_not_in_force(machine: Machine) -> None:
    listed = machine.run(["dpkg", "-L", "mctl"]).text.splitlines()
    names = [path.name for path in (host.TREE / "polkit" / "examples").iterdir()]
    assert names
    assert {f"/usr/share/doc/mctl/examples/{name}" for name in names} <= set(listed)
    assert not [path for path in listed if "/polkit-1/rules.d/" in path]


def test_what_is_installed_is_what_was_packed(machine: Machine) -> None:
    differing = machine.run(["dpkg", "--verify", "mctl"], check=False).text.splitlines()
    assert [line for line in differing if "/usr/share/doc/" not in line] == []  # base images go without documentation
    assert machine.run(["systemd-analyze", "verify", *SERVICES], check=False).text == ""


def test_what_mctl_oci_imports_is_gathered_in_one_file(machine: Machine) -> None:
    code = (
        "import sys; sys.path.append('/usr/lib/python3/dist-packages'); from mctld.oci import launch\n"
        "launch.use(launch.GATHERED); import mctld.oci.creation as found; print(type(found.__spec__.loader).__name__)"
    )
    assert machine.run(["/usr/bin/python3", "-IS", "-c", code]).text == "Gathered\n"


def test_nothing_starts_before_the_first_call(machine: Machine, deb: Path, sleeper: int) -> None:
    machine.run(["dpkg", "--purge", "mctl"], timeout=120)
    machine.install(deb)
    assert not any(is_active(machine, unit) for unit in SERVICES)
    machine.run(["mctl", "ps"])
    assert all(is_active(machine, unit) for unit in SERVICES)


def test_an_upgrade_renews_the_service_and_nothing_else(machine: Machine, deb: Path, sleeper: int) -> None:
    service, spawner = (main_pid(machine, unit) for unit in SERVICES)
    machine.install(deb)
    assert main_pid(machine, "mctld.service") not in (0, service)
    assert main_pid(machine, "mctl-spawner.service") == spawner
    assert int(machine.run(["mctl", "inspect", "--format", "{{.MainPID}}", "sleeper"]).text) == sleeper


def test_an_upgrade_does_not_start_a_stopped_service(machine: Machine, deb: Path) -> None:
    machine.run(["systemctl", "stop", "mctld.service"])
    machine.install(deb)
    assert not is_active(machine, "mctld.service")


def test_removal_stops_everything_and_keeps_the_state(machine: Machine, sleeper: int) -> None:
    machine.run(["dpkg", "--remove", "mctl"], timeout=120)
    assert machine.run(["kill", "-0", str(sleeper)], check=False).returncode
    assert machine.run(["systemctl", "list-units", "--plain", "--no-legend", "mctl*.service", "mctl*.scope"]).text == ""
    assert machine.run(["find", "/var/lib/mctl", "-mindepth", "1"]).text


def test_a_purge_leaves_nothing(machine: Machine, sleeper: int) -> None:
    machine.run(["dpkg", "--purge", "mctl"], timeout=120)
    names = "( -name mctl* -o -name _mctl* -o -name org.mctl* )"
    found = machine.run(["find", "/", "/run", "-xdev", *KEPT.split(), *names.split()]).text.splitlines()
    assert [path for path in found if path != "/var/lib/mctl"] == []  # here a mount point, so it stays, empty
    assert machine.run(["sh", "-c", "ls -A /var/lib/mctl"]).text == ""
