# SPDX-License-Identifier: GPL-3.0-or-later
"""A container runs: what it sees, what it answers, what it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

RUNNING = ("sleep", "1000")


@pytest.mark.parametrize("status", [0, 1, 7, 125, 126, 127, 255])
def test_the_exit_status_is_the_commands(mctl: Mctl, status: int) -> None:
    result = mctl.run("sh", "-c", f"exit {status}", options=["--rm"], check=False)
    assert result.returncode == status
    assert result.stderr == b""


def test_a_signal_is_128_and_its_number(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "victim"])
    mctl("kill", "-s", "KILL", "victim")
    mctl.shell("busctl call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s victim")
    found = mctl.properties("victim")
    assert (found["State"], found["ExitHow"], found["ExitStatus"]) == ("exited", "killed", 9)


def test_output_is_raw_and_apart(mctl: Mctl) -> None:
    script = "printf 'a\\000\\377\\r\\nb'; printf 'x\\n' >&2"
    result = mctl.run("sh", "-c", script, options=["--rm"])
    assert result.stdout == b"a\0\xff\r\nb"
    assert result.stderr == b"x\n"


def test_input_is_passed_on(mctl: Mctl) -> None:
    data = bytes(range(256)) * 4096
    assert mctl.run("cat", options=["--rm", "-i"], stdin=data).stdout == data


def test_every_namespace_is_its_own(mctl: Mctl) -> None:
    kinds = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
    links = " ".join(f"/proc/self/ns/{kind}" for kind in kinds)
    inside = mctl.run("sh", "-c", f"for l in {links}; do readlink $l; done", options=["--rm"]).text.split()
    outside = mctl.shell(f"for l in {links}; do readlink $l; done").text.split()
    assert len(inside) == len(kinds)
    assert not set(inside) & set(outside)


def test_what_is_inside(mctl: Mctl) -> None:
    script = (
        "id -u; hostname; echo $$; cat /proc/self/cgroup | tail -1; stat -c %u:%g:%A / /bin/busybox; "
        "grep -E 'NoNewPrivs|CapEff|CapInh|CapAmb' /proc/self/status | tr '\\t' ' '; ip link show lo; ls /dev"
    )
    lines = mctl.run("sh", "-c", script, options=["--rm", "--hostname", "box"]).text.splitlines()
    assert lines[:4] == ["0", "box", "1", "0::/"]
    assert lines[4:6] == ["0:0:drwxr-xr-x", "0:0:-rwxr-xr-x"]
    assert lines[6:10] == [
        "CapInh: 0000000000000000", "CapEff: 00000000800405fb", "CapAmb: 0000000000000000", "NoNewPrivs: 1",
    ]  # fmt: skip
    assert "UP" in lines[10]
    assert set(lines[-14:]) == {
        "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero",
    }  # fmt: skip


def test_the_directory_below_never_changes(mctl: Mctl) -> None:
    before = mctl.shell("cd /srv/root && find . | sort | md5sum; stat -c %Y /srv/root/bin").text
    mctl.run("sh", "-c", "echo x > /bin/new; rm /bin/cat; mkdir /made; chmod 4755 /bin/busybox", options=["--rm"])
    assert mctl.shell("cd /srv/root && find . | sort | md5sum; stat -c %Y /srv/root/bin").text == before


def test_no_setuid_file_of_roots_lies_on_the_disk(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "cp /bin/busybox /su; chmod 4755 /su", options=["--name", "su"], check=True)
    assert mctl.shell("find /var/lib/mctl/containers -perm -4000 -user root").text == ""
    assert mctl.shell("find /var/lib/mctl/containers -perm -4000").text.strip().endswith("/su")


def test_what_was_written_is_there_at_the_next_start(mctl: Mctl) -> None:
    mctl("create", "--name", "twice", mctl.rootfs, "sh", "-c", "cat /mark; echo again > /mark")
    for _ in range(2):
        mctl("start", "twice")
        mctl.shell("busctl call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s twice")
    assert mctl("logs", "twice").text.splitlines()[-1] == "again"


def test_a_user_and_a_directory(mctl: Mctl) -> None:
    result = mctl.run("sh", "-c", "id; pwd; grep CapEff /proc/self/status", options=["--rm", "-u", "7:8", "-w", "/tmp"])
    assert result.text.splitlines()[:2] == ["uid=7 gid=8", "/tmp"]
    assert result.text.endswith("0000000000000000\n")


def test_the_environment_is_what_was_declared(mctl: Mctl) -> None:
    lines = mctl.run("env", options=["--rm", "-e", "A=b=c", "-e", "PATH=/bin"]).text.splitlines()
    assert sorted(lines) == ["A=b=c", "HOME=/", "PATH=/bin", "container=mctl"]


def test_no_process_of_ours_per_container(mctl: Mctl) -> None:
    count = "cat /sys/fs/cgroup/system.slice/mctl*.service/cgroup.procs | wc -l"
    mctl("ps")
    before = mctl.shell(count).text
    for number in range(5):
        mctl.run(*RUNNING, options=["-d", "--name", f"idle-{number}"])
    assert mctl.shell(count).text == before
    inside = mctl.shell("cat /sys/fs/cgroup/mctl.slice/mctl-u0.slice/mctl-idle-*.scope/cgroup.procs | wc -l")
    assert inside.text.strip() == "5"


def test_stop_sends_the_stop_signal(mctl: Mctl) -> None:
    script = "trap 'exit 5' USR1; while :; do sleep 0.1; done"
    for number, stop in enumerate(("mctl stop web-{}", "systemctl stop mctl-web-{}.scope")):
        mctl.run("sh", "-c", script, options=["-d", "--name", f"web-{number}", "--stop-signal", "USR1"])
        mctl.shell(stop.format(number))
        mctl.shell(f"busctl call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s web-{number}")
        assert mctl.properties(f"web-{number}")["ExitStatus"] == 5


def test_stop_kills_after_its_timeout(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", options=["-d", "--name", "deaf"])
    mctl("stop", "-t", "1", "deaf")
    assert mctl.properties("deaf")["ExitHow"] == "killed"


def test_start_stop_and_remove_in_one_go(mctl: Mctl) -> None:
    names = ["one", "two"]
    for name in names:
        mctl("create", "--name", name, mctl.rootfs, *RUNNING)
    mctl("start", *names)
    failed = mctl("stop", "-t", "0", "one", "nobody", "two", check=False)
    assert failed.returncode == 1
    assert "nobody" in failed.stderr.decode()
    assert [mctl.properties(name)["State"] for name in names] == ["exited", "exited"]
    mctl("rm", *names)
    assert mctl("ps", "-a", "-q").text == ""


def test_a_name_can_be_used_again_at_once(mctl: Mctl) -> None:
    for _ in range(10):
        mctl.run("true", options=["--rm", "--name", "again"])


def test_fifty_at_once(mctl: Mctl) -> None:
    script = f"for i in $(seq 50); do mctl run --rm {mctl.rootfs} sh -c 'exit 3' & done; wait; mctl ps -aq | wc -l"
    assert mctl.shell(script, timeout=120).text.strip() == "0"
