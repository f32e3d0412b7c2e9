# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host runs out of: who asks for more is told what and where, what runs goes on, and nothing is left of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from .conftest import settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

HOME = "/var/lib/mctl"
FILL = {
    "bytes": f"cat /dev/zero > {HOME}/fill; : > {HOME}/rest; cat /dev/zero > {HOME}/rest2",
    "files": f"mkdir {HOME}/fill && (i=0; while : > {HOME}/fill/$i; do i=$((i + 1)); done)",
}
WORDS = {"bytes": "make room", "files": "(df -i)"}
TOLD = (r"could not store the state", r"Copies of the database's rows", r"would not outlive a loss of power now")


@pytest.fixture
def small(mctl: Mctl) -> Iterator[Mctl]:
    """The service's directory on a file system of its own, of some megabytes and files."""
    mount = f"mount -t tmpfs -o size=24m,nr_inodes=1500,mode=700 small {HOME}"
    mctl.shell(f"systemctl stop mctld.service; {mount}; systemctl start mctld.service")
    yield mctl
    mctl.shell(f"rm -rf {HOME}/fill {HOME}/rest*")
    names = mctl("ps", "-a", "-q").text.split()
    if names:
        mctl("rm", "-f", "-v", *names)
    mctl.shell(f"systemctl stop mctld.service; umount {HOME}; systemctl start mctld.service")


def refused(mctl: Mctl, words: str, *argv: str) -> None:
    result = mctl(*argv, check=False)
    assert result.returncode, argv
    assert words in result.stderr.decode(), (argv, result.stderr)


def there(mctl: Mctl, names: set[str]) -> None:
    """These containers, and no files of any other."""
    ids = {mctl.properties(name)["Id"] for name in names}
    assert set(mctl("ps", "-a", "--format", "{{.Name}}").text.split()) == names
    wait = f"for i in $(seq 300); do [ $(ls {HOME}/containers | wc -l) = {len(ids)} ] && break; sleep 0.1; done"
    assert set(mctl.shell(f"{wait}; ls {HOME}/containers").text.split()) == ids


@pytest.mark.allow_journal(*TOLD)
@pytest.mark.parametrize("what", FILL)
def test_a_file_system_without_room(small: Mctl, what: str) -> None:
    mctl, words = small, WORDS[what]
    mctl("import", "--busybox")
    mctl("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    mctl.run("sleep", "1000", options=["-d", "--name", "two", "--network", "none"])
    mctl("create", "--name", "later", "busybox", "sleep", "1000")
    mctl("tag", "busybox", "again")
    mctl.shell(FILL[what], check=False)
    refused(mctl, words, "create", "--name", "late", "busybox", "true")
    refused(mctl, words, "run", "--rm", "-v", "data:/data", "busybox", "true")
    if what == "files":  # of bytes some have been put aside
        refused(mctl, words, "start", "later")
    refused(mctl, words, "import", mctl.rootfs, "big")
    refused(mctl, words, "volume", "create", "data")
    refused(mctl, words, "commit", "one", "changed")
    assert mctl("exec", "one", "echo", "hello").text == "hello\n"
    assert mctl("ps").text.count("running") == 2
    mctl("rmi", "again")
    mctl("stop", "-t", "0", "two")
    if what == "files":
        refused(mctl, words, "start", "two")
    assert mctl.properties("two")["ExitHow"] == "killed"
    there(mctl, {"one", "two", "later"})
    assert settled(mctl) == ""
    assert mctl("volume", "ls", "-q").text == ""
    mctl("rm", "two")
    mctl.shell(f"rm -rf {HOME}/fill {HOME}/rest*")
    mctl("run", "--rm", "-v", "data:/data", "busybox", "touch", "/data/kept")
    mctl("start", "later")
    mctl("import", mctl.rootfs, "big")
    mctl("commit", "one", "changed")
    there(mctl, {"one", "later"})
    mctl("volume", "rm", "data")


@pytest.mark.allow_journal(r"cannot be opened", r"mctld\.service: ", r"Failed to start mctld\.service")
def test_a_service_that_has_no_room_to_start(mctl: Mctl) -> None:
    """It is tried again and again, and nobody has to start it when there is room."""
    script = f"""
        since=$(date +%s); systemctl stop mctld.service; mount -t tmpfs -o nr_inodes=1,mode=700 small {HOME}
        systemctl start --no-block mctld.service
        for i in $(seq 600); do
            journalctl -q --since @$since -u mctld.service | grep -q 'can hold no more files' && break; sleep 0.1
        done
        mount -o remount,nr_inodes=1000 {HOME}
        for i in $(seq 600); do systemctl -q is-active mctld.service && break; sleep 0.1; done
        systemctl is-active mctld.service
    """
    try:
        assert mctl.shell(script, check=False, timeout=180).text == "active\n"
    finally:
        mctl.shell(f"systemctl stop mctld.service; umount {HOME}; systemctl start mctld.service")
    mctl.run("true", options=["--rm"])


@contextmanager
def full_run(mctl: Mctl) -> Iterator[None]:
    """/run, where PID 1, the journal and the service have what lasts until the next boot."""
    options = mctl.shell("findmnt -n -o OPTIONS /run | tr , '\\n' | grep -e ^size= -e ^nr_inodes=").text.split()
    shrink = "mount -o remount,size=$(($(df -k --output=used /run | tail -n 1) + 64))k /run"
    mctl.shell(f"{shrink}; cat /dev/zero > /run/fill", check=False)
    try:
        yield
    finally:
        mctl.shell(f"rm /run/fill; mount -o remount,{','.join(options)} /run")


def test_run_without_room(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "one"])
    mctl.run("sleep", "1000", options=["-d", "--name", "two"])
    mctl("create", "--name", "later", mctl.rootfs, "sleep", "1000")
    full = "/run/systemd/units is on a full file system: make room there"
    with full_run(mctl):
        refused(mctl, full, "run", "--rm", mctl.rootfs, "true")
        refused(mctl, full, "run", "-d", "--name", "late", mctl.rootfs, "sleep", "1000")
        refused(mctl, full, "start", "later")
        assert mctl("exec", "one", "echo", "hello").text == "hello\n"
        assert mctl("ps").text.count("running") == 2
        mctl("stop", "-t", "0", "two")
        mctl("rm", "two")
    there(mctl, {"one", "later"})
    mctl("start", "later")
    mctl.run("true", options=["--rm"])


LINES = 60_000
CHATTY = f"i=1; while [ $i -le {LINES} ]; do echo $i {350 * 'x'}; i=$((i + 1)); done"  # more than a stream holds
WITHDRAWN = "for i in $(seq 600); do ls /run/systemd/units | grep -q log-extra-fields:mctl- || break; sleep 0.1; done"
COMPLETE = "mctl logs {} | cut -d ' ' -f 1 > /tmp/lines; seq " + str(LINES) + " | cmp - /tmp/lines; rm /tmp/lines"


@pytest.mark.allow_journal("journald has not taken over a stream within 10 seconds: is it stuck\\?")
def test_a_journal_that_stands_still(busybox: Mctl) -> None:
    """Who prints much waits for it, and nobody else does; no line is lost."""
    mctl = busybox
    mctl.run("sleep", "1000", options=["-d", "--name", "quiet"])
    journald = mctl.shell("systemctl show -P MainPID systemd-journald.service").text.strip()
    mctl.shell(f"kill -STOP {journald}")
    try:
        mctl("run", "-d", "--name", "image", "busybox", "sh", "-c", CHATTY)
        mctl.run("sh", "-c", CHATTY, options=["-d", "--name", "directory"])
        for _ in range(5):
            assert mctl.run("echo", "hello", options=["--rm"]).text == "hello\n"
            assert mctl("exec", "quiet", "echo", "hello").text == "hello\n"
        mctl("stop", "-t", "0", "quiet")
        mctl("rm", "quiet")
        assert mctl("ps").text.count("running") == 2
    finally:
        mctl.shell(f"kill -CONT {journald}")
    for name in ("image", "directory"):
        assert mctl("wait", name, timeout=120).text == "0\n"
        mctl.shell("journalctl --sync")
        mctl.shell(f"set -e; {COMPLETE.format(name)}")
    mctl.shell(WITHDRAWN, timeout=90)
