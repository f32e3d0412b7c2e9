# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl check on real hosts: whole ones, poor ones, and ones whose service cannot be started."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

CONTROLLERS = {f"cgroup.{name}" for name in ("memory", "cpu", "cpuset", "io", "pids", "hugetlb")}
WISHES = {"tiocsti", "lsm", "cgroup.io.weight"}  # what Debian's own settings leave open
FEATURES = ("busctl", "-j", "get-property", "org.mctl1", "/org/mctl1", "org.mctl1.Manager", "Features")


def check(mctl: Mctl, *, status: int, user: str | None = None) -> dict[str, dict[str, str]]:
    result = mctl("check", "--json=short", user=user, check=False)
    assert result.returncode == status, result.stdout
    return {finding["Name"]: finding for finding in json.loads(result.stdout)}


def found_in(mctl: Mctl, name: str, *, user: str | None = None) -> dict[str, str]:
    return check(mctl, status=1, user=user)[name]


def with_verdict(found: dict[str, dict[str, str]], *verdicts: str) -> set[str]:
    return {name for name, finding in found.items() if finding["Verdict"] in verdicts}


def features(mctl: Mctl) -> set[str]:
    return set(json.loads(mctl.machine.run(list(FEATURES)).stdout)["data"])


@contextmanager
def changed(mctl: Mctl, change: str, back: str) -> Iterator[None]:
    mctl.shell(change)
    try:
        yield
    finally:
        mctl.shell(back)


@pytest.mark.nspawn
def test_controllers_that_the_outer_host_keeps_are_missing(mctl: Mctl) -> None:
    for user in (None, "alice"):
        found = check(mctl, status=1, user=user)
        assert with_verdict(found, "missing") == CONTROLLERS
        assert with_verdict(found, "unknown") - WISHES == {"swap"}
    assert features(mctl) == {"idmap", "seccomp", "userns"}
    names = [line.split()[0] for line in mctl("check", "-q", check=False).text.splitlines() if line[0] != " "]
    assert set(names) == CONTROLLERS


@pytest.mark.nspawn
def test_a_refused_start_says_where_to_look(mctl: Mctl) -> None:
    result = mctl.run("true", options=["--rm", "-m", "64m"], check=False)
    assert result.returncode == 125
    assert b"no memory controller; `mctl check` says" in result.stderr


@pytest.mark.nspawn
def test_the_service_notes_once_what_is_missing(mctl: Mctl) -> None:
    mctl.shell("systemctl restart mctld.service")
    invocation = mctl.shell("systemctl show -P InvocationID mctld.service").text.strip()
    lines = [e["MESSAGE"] for e in mctl.journal(f"_SYSTEMD_INVOCATION_ID={invocation}") if e["PRIORITY"] == "4"]
    (line,) = lines
    lacking = "cgroup.memory, cgroup.cpu, cgroup.cpuset, cgroup.io, cgroup.pids, cgroup.hugetlb"
    assert line.startswith(f"This host lacks {lacking}: `mctl")


@pytest.mark.qemu
def test_a_whole_host_lacks_nothing(mctl: Mctl) -> None:
    for user in (None, "alice"):
        found = check(mctl, status=0, user=user)
        assert with_verdict(found, "warning", "unknown") - WISHES == set()
    assert mctl("check", "-q").text == ""
    assert features(mctl) >= {"idmap", "seccomp", "userns", *CONTROLLERS}


@pytest.mark.qemu
@pytest.mark.allow_journal(r"^This host lacks userns: ")
def test_a_host_without_user_namespaces(mctl: Mctl) -> None:
    """In qemu only: a systemd-nspawn machine shares this setting with its host."""
    most = mctl.shell("sysctl -n user.max_user_namespaces").text.strip()
    setting = "sysctl -q -w user.max_user_namespaces"
    with changed(mctl, f"{setting}=0", f"{setting}={most}"):
        userns = found_in(mctl, "userns")
        assert (userns["Verdict"], userns["Found"]) == ("missing", "user.max_user_namespaces is 0")
        assert found_in(mctl, "idmap")["Verdict"] == "unknown"
        result = mctl.run("true", options=["--rm"], check=False)
        assert result.returncode == 125
        assert b"No space left on device; `mctl check` says what this host lacks" in result.stderr
        mctl.shell("systemctl restart mctld.service")
        assert "userns" not in features(mctl)
    mctl.shell("systemctl restart mctld.service")
    assert check(mctl, status=0)["userns"]["Verdict"] == "ok"


@pytest.mark.both
def test_nothing_is_left_of_what_was_tried(mctl: Mctl) -> None:
    """Mounts, processes, descriptors and journal lines are compared by the fixture."""
    names = "ls /var/lib/mctl/containers /sys/class/net"
    before = mctl.shell(names).text
    mctl.shell("for i in 1 2 3 4 5 6 7 8; do mctl check >/dev/null & done; wait; mctl check >/dev/null || true")
    assert mctl.shell(names).text == before


def test_what_an_attempt_tells(mctl: Mctl) -> None:
    """Each defence that is taken away is missed."""
    with changed(mctl, "echo mallory:1342177280:65536 >> /etc/subuid", "sed -i /mallory/d /etc/subuid"):
        assert "/etc/subuid: mallory" in found_in(mctl, "ids")["Found"]
    with changed(mctl, "mount -t ramfs ramfs /var/lib/mctl/containers", "umount /var/lib/mctl/containers"):
        assert found_in(mctl, "idmap")["Verdict"] == "missing"


def test_what_others_do_to_networks_is_told(mctl: Mctl) -> None:
    mctl.run("true", options=["--rm"])
    chain = "'{ type filter hook forward priority 0; policy drop; }'"
    closed = f"nft add table ip strict; nft add chain ip strict f {chain}"
    with changed(mctl, closed, "nft delete table ip strict"):
        firewall = found_in(mctl, "network.firewall")
        assert (firewall["Verdict"], "mctl0: chain f of table ip strict" in firewall["Found"]) == ("warning", True)
        mctl.shell("nft add rule ip strict f iifname mctl0 accept")
        assert found_in(mctl, "network.firewall")["Verdict"] == "ok"
    with changed(mctl, "ip route add 172.20.7.0/24 dev lo", "ip route delete 172.20.7.0/24 dev lo"):
        routes = found_in(mctl, "network.routes")
        assert routes["Verdict"] == "warning"
        assert routes["Found"] == "172.20.7.0/24 (lo) overlaps 172.20.0.0/16 of network bridge"
    assert found_in(mctl, "network.routes")["Verdict"] == "ok"


@pytest.mark.allow_journal(r"polkit")
def test_polkit_that_does_not_answer(mctl: Mctl) -> None:
    mask = "systemctl stop polkit.service; systemctl mask --runtime polkit.service"
    with changed(mctl, mask, "systemctl unmask --runtime polkit.service"):
        polkit = found_in(mctl, "polkit")
        assert polkit["Verdict"] == "missing"
        assert "masked" in polkit["Found"]
        hers = mctl("check", user="alice", check=False)
        assert hers.returncode == 1
        assert "polkit does not answer" in hers.stderr.decode()


@pytest.mark.parametrize("user", [None, "alice"])
@pytest.mark.parametrize("unit", ["mctld.service", "mctl-spawner.socket"])
@pytest.mark.allow_journal(r"masked")
def test_a_masked_service(mctl: Mctl, unit: str, user: str | None) -> None:
    mask = f"systemctl stop mctld.service {unit}; systemctl mask --runtime {unit}"
    with changed(mctl, mask, f"systemctl unmask --runtime {unit}"):
        service = found_in(mctl, "service", user=user)
        assert service["Verdict"] == "missing"
        assert service["Remedy"] == f"systemctl unmask {unit}"
        assert "`mctl check`" in mctl("ps", check=False).stderr.decode()
    assert mctl("check", "-q", check=False).returncode == 1


def test_a_service_that_does_not_run_is_started(mctl: Mctl) -> None:
    mctl.shell("systemctl stop mctld.service mctl-spawner.service")
    assert check(mctl, status=1)["spawner"]["Verdict"] == "ok"


@pytest.mark.allow_journal(r"mctld\.service", r"state\.db")
def test_a_service_that_gives_up_is_quoted(mctl: Mctl) -> None:
    store = "cd /var/lib/mctl; systemctl stop mctld.service; "
    newer = "python3 -c 'import sqlite3; sqlite3.connect(\"state.db\").execute(\"PRAGMA user_version = 999\")'"
    breaking = f"{store} cp state.db kept; rm -f state.db-*; {newer}"
    with changed(mctl, breaking, f"{store} mv kept state.db; systemctl reset-failed mctld.service"):
        found = found_in(mctl, "service")
        assert "status 78" in found["Found"]
        assert "is of version 999" in found["Found"]
        assert "/var/lib/mctl" in found["Remedy"]
        assert "version 999" not in found_in(mctl, "service", user="bob")["Found"]  # the journal is not his


@pytest.mark.allow_journal(r"mctld\.service|Container service")
def test_a_service_that_is_started_over_and_over_is_not_waited_for(mctl: Mctl) -> None:
    drop_in = "/run/systemd/system/mctld.service.d"
    text = "[Service]\\nExecStart=\\nExecStart=/bin/false\\n"
    breaking = f"systemctl stop mctld.service; mkdir -p {drop_in}; printf '{text}' > {drop_in}/broken.conf"
    mending = f"rm -r {drop_in}; systemctl daemon-reload; systemctl restart mctld.service"
    with changed(mctl, f"{breaking}; systemctl daemon-reload", mending):
        assert "does not come up" in found_in(mctl, "service")["Found"]
