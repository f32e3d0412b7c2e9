# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever becomes of the service's own files: what runs goes on, and can be stopped and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

DATABASE = "/var/lib/mctl/state.db"
UNREADABLE = r"What is stored of container \S+ cannot be read"


def change_database(mctl: Mctl, *statements: str) -> None:
    """While the service is down."""
    code = f"import sqlite3; d = sqlite3.connect('{DATABASE}', isolation_level=None); "
    mctl.shell("systemctl stop mctld.service")
    mctl.machine.run(["python3", "-c", code + "; ".join(f"d.execute({statement!r})" for statement in statements)])
    mctl.shell("systemctl start mctld.service")


@pytest.mark.allow_journal(UNREADABLE)
def test_one_unreadable_container_harms_no_other(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "good"])
    mctl.run("sleep", "1000", options=["-d", "--name", "bad"])
    mctl.run("sh", "-c", "echo kept > /tmp/kept", options=["--name", "ended"])
    before = mctl.properties("bad")
    change_database(mctl, "UPDATE container SET spec = '{\"later\": 1}' WHERE name IN ('bad', 'ended')")
    assert mctl.properties("good")["State"] == "running"
    found = mctl.properties("bad")
    assert {k: found[k] for k in ("Id", "State", "MainPID")} == {k: before[k] for k in ("Id", "State", "MainPID")}
    assert "KeyError" in found["Warnings"][0]
    ended = mctl.properties("ended")
    assert ended["State"] == "unreadable"
    assert "ended" in mctl("ps").text
    mctl.shell(f"grep -r kept /var/lib/mctl/containers/{ended['Id']}/upper/tmp")
    for verb in (["start", "ended"], ["exec", "bad", "true"], ["update", "--pids", "5", "bad"]):
        refused = mctl(*verb, check=False)
        assert refused.returncode
        assert "it can be stopped and removed, and nothing else" in refused.stderr.decode()
    told = [str(e["MESSAGE"]) for e in mctl.journal("_SYSTEMD_UNIT=mctld.service")]
    assert sum("container bad cannot be read" in line for line in told) == 1
    mctl("stop", "-t", "0", "bad")
    assert mctl.properties("bad")["State"] == "unreadable"
    mctl("rm", "bad", "ended")
    assert "bad" not in mctl("ps", "-a").text


KINDS = {
    "truncated": f"truncate -s 5000 {DATABASE}",
    "random": f"head -c 80000 /dev/urandom > {DATABASE}",
    "empty": f": > {DATABASE}",
    "missing": f"rm {DATABASE}",
}
REBUILT = (r"The database \S+ was damaged", r"was missing in the database and is put back from its copy")
STATIC = ("Id", "Name", "OwnerUID", "UIDShift", "Networks", "Addresses", "Ports", "Labels", "CreateTimestamp", "State",
          "MainPID", "ControlGroup", "ExitHow", "ExitStatus")  # fmt: skip


@pytest.mark.allow_journal(*REBUILT, r"mctld\.service: .*")
@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_database_is_rebuilt_while_containers_run(
    mctl: Mctl, alice_may_create: None, kind: str, end: str
) -> None:
    network = f"lost-{kind}-{end}"
    mctl("network", "create", network)
    mctl.run("sleep", "1000", options=["-d", "--name", "web", "--network", network, "-p", "8080:80", "--label", "a=b"])
    mctl.run("sh", "-c", "exit 7", options=["--name", "over"], check=False)
    mctl("create", "--name", "hers", "/srv/alice", "sleep", "1000", user="alice")
    mctl("start", "hers", user="alice")
    names = ("web", "over", "hers")
    before = {name: mctl.properties(name) for name in names}
    files = "/var/lib/mctl/state.db-wal /var/lib/mctl/state.db-shm"
    kill = "systemctl kill -s KILL mctld; " if end == "kill" else ""
    mctl.shell(f"{kill}systemctl stop mctld; rm -f {files}; {KINDS[kind]}; systemctl start mctld")
    after = {name: mctl.properties(name) for name in names}
    for name in names:
        assert {k: after[name][k] for k in STATIC} == {k: before[name][k] for k in STATIC}
    assert abs(after["web"]["StartTimestamp"] - before["web"]["StartTimestamp"]) < 2_000_000
    assert (after["over"]["ExitHow"], after["over"]["ExitStatus"]) == ("exited", 7)
    assert "hers" in mctl("ps", user="alice").text
    aside = mctl.shell("cd /var/lib/mctl; ls; rm -f state.db.damaged-*").text
    assert ("state.db.damaged-2" in aside) or kind != "random"
    mctl("stop", "-t", "0", "web", "hers")
    assert (mctl.properties("web")["ExitHow"], mctl.properties("web")["ExitStatus"]) == ("killed", 9)
    mctl("start", "web")
    mctl("rm", "-f", *names)
    mctl("network", "rm", network)
    mctl.run("true", options=["--rm"])


@pytest.mark.allow_journal(r"is of version 99", r"mctld\.service: .*", r"Failed to start mctld\.service.*")
def test_a_database_of_a_newer_version_is_left_alone(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "web"])
    pid = mctl.properties("web")["MainPID"]
    mctl.shell("systemctl stop mctld.service")
    change = f"import sqlite3; sqlite3.connect('{DATABASE}').execute('PRAGMA user_version = {{}}')"
    ask = f"import sqlite3; print(*sqlite3.connect('{DATABASE}').execute('PRAGMA user_version').fetchone())"
    old = mctl.machine.run(["python3", "-c", ask])
    mctl.machine.run(["python3", "-c", change.format(99)])
    sums = mctl.shell("cd /var/lib/mctl; find . -type f | sort | xargs sha256sum").text
    assert mctl.shell("systemctl start mctld.service", check=False).returncode
    assert mctl.shell("cd /var/lib/mctl; find . -type f | sort | xargs sha256sum").text == sums
    refused = mctl("ps", check=False)
    assert refused.returncode
    told = [str(e["MESSAGE"]) for e in mctl.journal("_SYSTEMD_UNIT=mctld.service")]
    assert any("is of version 99, this service knows up to" in line for line in told)
    mctl.machine.run(["python3", "-c", change.format(int(old.text))])
    mctl.shell("systemctl reset-failed mctld.service; systemctl start mctld.service")
    assert mctl.properties("web")["MainPID"] == pid


KILL = "systemctl kill -s KILL mctld.service; sleep 0.5"
FILL = "cat /dev/zero > /var/lib/mctl/filler 2>/dev/null; : > /var/lib/mctl/rest; cat /dev/zero > /var/lib/mctl/rest2"
FULL = (r"could not store the state", r"Copies of the database's rows", r"mctld\.service: .*", r"is left behind")


@pytest.fixture
def small_disk(mctl: Mctl) -> Iterator[Mctl]:
    """The service's directory on a file system of its own."""
    mctl.shell("systemctl stop mctld.service; mount -t tmpfs -o size=6m,mode=700 small /var/lib/mctl")
    mctl.shell("systemctl start mctld.service")
    yield mctl
    mctl.shell("mount -o remount,rw /var/lib/mctl; rm -f /var/lib/mctl/filler /var/lib/mctl/rest*")
    names = mctl("ps", "-a", "-q").text.split()
    if names:
        mctl("rm", "-f", *names)
    mctl.shell("systemctl stop mctld.service; umount /var/lib/mctl; systemctl start mctld.service")


@pytest.mark.allow_journal(*FULL)
@pytest.mark.parametrize("again", ["true", "systemctl restart mctld.service", KILL])
def test_on_a_full_disk_what_runs_can_be_stopped_and_removed(small_disk: Mctl, again: str) -> None:
    mctl = small_disk
    for name in ("one", "two", "three"):
        mctl.run("sleep", "1000", options=["-d", "--name", name, "--network", "none"])
    mctl.shell(FILL, check=False)
    mctl.shell(again)
    refused = mctl("create", "--name", "late", "--network", "none", mctl.rootfs, "true", check=False)
    assert refused.returncode
    assert "could not store container 'late'" in refused.stderr.decode()
    assert mctl("ps").text.count("running") == 3
    mctl("kill", "one")
    mctl("wait", "one", check=False)
    mctl("stop", "-t", "0", "two")
    mctl("rm", "one")
    mctl("rm", "-f", "two", "three")
    assert mctl("ps", "-a", "-q").text == ""
    mctl.shell("rm /var/lib/mctl/filler /var/lib/mctl/rest*; systemctl restart mctld.service")
    assert mctl("ps", "-a", "-q").text == ""
    mctl.run("true", options=["--rm", "--network", "none"])


READ_ONLY = "mount --bind /var/lib/mctl /var/lib/mctl; mount -o remount,bind,ro /var/lib/mctl"


@pytest.mark.allow_journal(r"is on a read-only file system", r"Copies of the database's rows")
def test_on_a_read_only_disk_what_runs_can_be_stopped(mctl: Mctl) -> None:
    for name in ("one", "two"):
        mctl.run("sleep", "1000", options=["-d", "--name", name])
    mctl.shell(f"systemctl stop mctld.service; {READ_ONLY}; systemctl start mctld.service")
    try:
        assert mctl("ps").text.count("running") == 2
        for verb in (["create", mctl.rootfs, "true"], ["network", "create", "late"]):
            refused = mctl(*verb, check=False)
            assert refused.returncode
            assert "is on a read-only file system: make it writable" in refused.stderr.decode()
        mctl("stop", "-t", "0", "one")
        assert mctl.properties("one")["ExitHow"] == "killed"
        refused = mctl("rm", "-f", "two", check=False)
        assert "is on a read-only file system: make it writable" in refused.stderr.decode()
        assert mctl("ps", "-q").text == ""
        mctl("ps", "-a")
        mctl.shell("mount -o remount,bind,rw /var/lib/mctl")
        mctl("create", "--name", "three", mctl.rootfs, "true")  # with no restart of the service
        mctl("network", "create", "late")
        assert mctl.shell("ls -d /run/mctl/read-only", check=False).returncode
        assert ends(mctl) == [("killed", 9), ("killed", 9)]
    finally:
        mctl.shell("systemctl stop mctld.service; umount /var/lib/mctl; systemctl start mctld.service")
    assert ends(mctl) == [("killed", 9), ("killed", 9)]  # it was stored where it belongs
    mctl("rm", "one", "two", "three")
    mctl("network", "rm", "late")


def ends(mctl: Mctl) -> list[tuple[str, int]]:
    return [(mctl.properties(name)["ExitHow"], mctl.properties(name)["ExitStatus"]) for name in ("one", "two")]
