# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes of a container that runs, beside its cgroup's limits: its processes' own, and its devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

HOST = ["--userns", "host"]
HERE = "/sys/fs/cgroup/mctl.slice/mctl-u0.slice/mctl-web.scope"
OPEN = "(: < /dev/given/fuse) 2> /dev/null && echo r; (: > /dev/given/fuse) 2> /dev/null && echo w; true;"
FILE = "/etc/systemd/system/mctl@web.service.d/50-mctl.conf"
MINE = "(: < /dev/mine) 2> /dev/null && printf r; (: > /dev/mine) 2> /dev/null && printf w; echo"


@pytest.fixture(params=[[], HOST], ids=["own-ids", "hosts-ids"])
def web(mctl: Mctl, request: pytest.FixtureRequest) -> Iterator[Mctl]:
    """A container with three processes, none of them asked for any limit."""
    mctl.run("sh", "-c", "sleep 1000 & sleep 1001; true", options=["-d", "--name", "web", *request.param])
    mctl.until(f"[ $(wc -l < {HERE}/cgroup.procs) = 3 ]")
    yield mctl
    mctl("rm", "-f", "web")


def inside(mctl: Mctl, script: str, *options: str) -> str:
    return mctl("exec", *options, "web", "sh", "-c", script).text


def limits(mctl: Mctl, kind: str) -> list[str]:
    """Of each process in the scope and below, one line for those that have the same."""
    each = f"for p in $(cat {HERE}/cgroup.procs); do grep '{kind}' /proc/$p/limits 2> /dev/null; done"
    return mctl.shell(f"{each} | sort -u | tr -s ' '").text.splitlines()


def test_every_process_has_the_new_limits(web: Mctl) -> None:
    before = web.shell("cat /proc/1/limits /proc/self/limits").text
    web("update", "--ulimit", "nofile=77:99", "--ulimit", "core=0", "web")
    assert limits(web, "open files") == ["Max open files 77 99 files "]
    assert limits(web, "core file") == ["Max core file size 0 0 bytes "]
    assert inside(web, "ulimit -n; ulimit -Hn; ulimit -Hc") == "77\n99\n0\n"
    assert web.shell("cat /proc/1/limits /proc/self/limits").text == before
    web("stop", "-t", "0", "web")
    web("start", "web")
    assert inside(web, "ulimit -n; ulimit -Hn; ulimit -Hc") == "77\n99\n0\n"


@pytest.mark.qemu  # it takes CAP_SYS_RESOURCE, which a machine in a container may lack
def test_a_hard_limit_goes_up_again_also_of_processes_that_are_not_root(web: Mctl) -> None:
    web("exec", "-d", "-u", "1000", "web", "sleep", "1002")
    for limit in ("99", "300"):
        web("update", "--ulimit", f"nofile=77:{limit}", "--ulimit", f"core={limit}", "web")
        assert limits(web, "open files") == [f"Max open files 77 {limit} files "]
    most = int(web.shell("cat /proc/sys/fs/nr_open").text)
    refused = web("update", "--ulimit", "core=5", "--ulimit", f"nofile=5:{most + 1}", "web", check=False)
    assert refused.returncode == 1
    assert limits(web, "core file") == ["Max core file size 300 300 bytes "]


def test_limits_that_the_kernel_does_not_have_change_nothing(web: Mctl) -> None:
    before = web.properties("web")
    most = int(web.shell("cat /proc/sys/fs/nr_open").text)
    asked = ["--ulimit", "core=5:unlimited", "--ulimit", f"nofile=5:{most + 1}"]
    refused = web("update", *asked, "--device", "/dev/fuse:/dev/given/fuse", "web", check=False)
    assert refused.returncode == 1
    assert f"fs.nr_open, {most}" in refused.stderr.decode()
    assert web.properties("web") == before
    assert limits(web, "core file") == ["Max core file size 0 unlimited bytes "]
    assert inside(web, "ls /dev/given 2>&1 || echo none").endswith("none\n")
    assert inside(web, OPEN) == ""


def test_processes_that_fork_are_not_missed(mctl: Mctl) -> None:
    """Generations of short-lived children: none that is there afterwards has what the first one had."""
    script = "b() { sleep 0.05; b & }; i=0; while [ $i -lt 4 ]; do b & i=$((i+1)); done; sleep 1000"
    mctl.run("sh", "-c", script, options=["-d", "--name", "web"])
    mctl.until(f"[ $(wc -l < {HERE}/cgroup.procs) -gt 4 ]")
    for number in range(105, 100, -1):
        mctl("update", "--ulimit", f"nofile={number}:{number}", "web")
        found = {line for _ in range(3) for line in limits(mctl, "open files")}
        assert found == {f"Max open files {number} {number} files "}
    mctl("rm", "-f", "web")


def test_a_device_comes_changes_and_goes(web: Mctl) -> None:
    assert inside(web, OPEN) == ""
    web("update", "--device", "/dev/fuse:/dev/given/fuse", "web")
    assert inside(web, "stat -c '%F %t:%T %a %u' /dev/given/fuse; ls -ld /dev/given | cut -c 1-10").splitlines() == [
        "character special file a:e5 666 0", "drwxr-xr-x",
    ]  # fmt: skip
    assert inside(web, OPEN) == "r\nw\n"
    assert inside(web, OPEN, "-u", "1000") == "r\nw\n"
    web("update", "--device", "/dev/fuse:/dev/given/fuse:r", "web")
    assert inside(web, f"chmod 666 /dev/given/fuse; {OPEN}") == "r\n"  # it is the rule that counts
    assert web.properties("web")["Devices"] == [["/dev/fuse", "/dev/given/fuse", "r"]]
    web("stop", "-t", "0", "web")
    web("start", "web")
    assert inside(web, OPEN) == "r\n"
    web("update", "--device", "/dev/zero:/dev/given/zero", "web")
    web("update", "--device-rm", "/dev/given/fuse", "web")
    assert inside(web, "ls /dev/given; head -c 2 /dev/given/zero | wc -c") == "zero\n2\n"
    web("update", "--device-rm", "/dev/given/zero", "web")
    assert inside(web, "ls -d /dev/given || echo none; head -c 1 /dev/zero | wc -c; echo > /dev/null") == "none\n1\n"
    web("stop", "-t", "0", "web")
    web("start", "web")
    assert inside(web, OPEN) == ""


def test_rules_change_with_the_node(mctl: Mctl) -> None:
    """What the container makes of its right to make nodes it keeps: they open only while the device is given."""
    mctl.run("sleep", "1000", options=["-d", "--name", "web", *HOST, "--cap-add", "MKNOD"])
    mctl("update", "--device", "/dev/fuse:/dev/given/fuse:rwm", "web")
    make = "mknod -m 666 /dev/mine c 10 229; mknod /dev/m c 1 1 2> /dev/null || echo no"
    assert inside(mctl, f"{make}; {MINE}") == "no\nrw\n"
    for reload in ("true", "systemctl daemon-reload"):
        mctl("update", "--device", "/dev/fuse:/dev/given/fuse:w", "web")
        mctl.shell(reload)
        assert inside(mctl, f"mknod /dev/again c 10 229 2> /dev/null || echo no; {MINE}") == "no\nw\n"
        mctl("update", "--device-rm", "/dev/given/fuse", "web")
        mctl.shell(reload)
        assert inside(mctl, f"mknod /dev/again c 10 229 2> /dev/null || echo no; {MINE}") == "no\n\n"
        mctl("update", "--device", "/dev/fuse:/dev/given/fuse:r", "web")
        assert inside(mctl, f"mknod /dev/again c 10 229 2> /dev/null || echo no; {MINE}") == "no\nr\n"


def test_a_paused_one_takes_what_needs_no_pid_1(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "web"])
    mctl("pause", "web")
    refused = mctl("update", "--device", "/dev/fuse:/dev/given/fuse", "--ulimit", "nofile=7:9", "web", check=False)
    assert "is paused" in refused.stderr.decode()
    mctl("update", "--ulimit", "nofile=77:99", "web")
    found = mctl.properties("web")
    assert (found["State"], found["Devices"], found["Rlimits"]["NOFILE"]) == ("paused", [], [77, 99])
    mctl("unpause", "web")
    assert limits(mctl, "open files") == ["Max open files 77 99 files "]
    mctl("update", "--device", "/dev/fuse:/dev/given/fuse", "web")
    assert inside(mctl, OPEN) == "r\nw\n"


TRAPS = ["ln -s /tmp /dev/given", "touch /dev/given", "mkdir /dev/given; touch /dev/given/fuse"]


@pytest.mark.parametrize("trap", TRAPS)
def test_what_the_container_has_put_there_leads_nowhere(mctl: Mctl, trap: str) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "web"])
    inside(mctl, trap)
    refused = mctl("update", "--device", "/dev/fuse:/dev/given/fuse", "--ulimit", "nofile=7:9", "web", check=False)
    assert refused.returncode == 1
    assert "/dev/given/fuse" in refused.stderr.decode()
    assert inside(mctl, "ls -A /tmp; ulimit -n") == "1024\n"
    assert mctl.properties("web")["Devices"] == []
    mctl("update", "--device", "/dev/fuse:/dev/other", "web")
    inside(mctl, "mkdir /dev/there; mv /dev/other /dev/there/ 2> /dev/null || : > /dev/other || true")
    mctl("update", "--device-rm", "/dev/other", "web")
    assert "other" not in inside(mctl, "ls /dev")
    mctl("rm", "-f", "web")


HELD = ["mv /dev/given /dev/g; ln -s g /dev/given", "chmod 555 /dev/given", "chmod 0 /dev/given", "chmod 0 /dev"]


@pytest.mark.parametrize("trap", HELD)
def test_what_the_container_does_to_its_dev_keeps_no_device(mctl: Mctl, trap: str) -> None:
    """A node may stay to be seen; it opens no more than was left to it."""
    mctl.run("sleep", "1000", options=["-d", "--name", "web", "--device", "/dev/fuse:/dev/given/fuse"])
    inside(mctl, trap)
    assert inside(mctl, OPEN) == "r\nw\n"
    mctl("update", "--device", "/dev/fuse:/dev/given/fuse:w", "web")
    assert inside(mctl, OPEN) == "w\n"
    mctl("update", "--device-rm", "/dev/given/fuse", "web")
    assert inside(mctl, OPEN) == ""
    assert mctl.properties("web")["Devices"] == []
    mctl("rm", "-f", "web")


def test_a_service_too(mctl: Mctl) -> None:
    mctl("create", "--name", "web", mctl.rootfs, "sleep", "1000")
    mctl("enable", "web")
    mctl.shell("systemctl start mctl@web.service")
    mctl("update", "--device", "/dev/fuse:/dev/given/fuse:r", "--ulimit", "nofile=77:99", "web")
    assert inside(mctl, f"chmod 666 /dev/given/fuse; {OPEN} ulimit -Hn") == "r\n99\n"
    assert mctl.shell("ls /run/systemd/system.control 2> /dev/null").text == ""
    mctl.shell("systemctl restart mctl@web.service")
    assert inside(mctl, f"chmod 666 /dev/given/fuse; {OPEN} ulimit -Hn") == "r\n99\n"
    mctl("update", "--device-rm", "/dev/given/fuse", "web")
    assert inside(mctl, OPEN) == ""
    mctl("rm", "-f", "web")


def test_a_service_whose_file_cannot_be_written_keeps_what_it_has(mctl: Mctl) -> None:
    """The last step before the store: all others have been done by then, and are taken back."""
    mctl("create", "--name", "web", "--ulimit", "nofile=66:99", mctl.rootfs, "sleep", "1000")
    mctl("enable", "web")
    mctl.shell("systemctl start mctl@web.service")
    before, unit = mctl.properties("web"), mctl.shell("systemctl cat mctl@web.service").text
    mctl.shell(f"mkdir {FILE}.new")
    asked = ["--device", "/dev/fuse:/dev/given/fuse", "--ulimit", "nofile=55:99", "web"]
    refused = mctl("update", *asked, check=False)
    assert refused.returncode == 1
    assert f"could not write {FILE}" in refused.stderr.decode()
    assert "taken back" not in refused.stderr.decode()  # all could be
    assert mctl.properties("web") == before
    assert inside(mctl, f"ls -d /dev/given 2> /dev/null; {OPEN} ulimit -n") == "66\n"
    first = mctl.shell(f"tr -s ' ' < /proc/{before['MainPID']}/limits").text
    assert "Max open files 66 99 files \n" in first
    assert mctl.shell("systemctl cat mctl@web.service").text == unit
    mctl.shell(f"rmdir {FILE}.new; systemctl daemon-reload")
    assert inside(mctl, OPEN) == ""
    mctl("update", *asked)
    assert inside(mctl, f"{OPEN} ulimit -n") == "r\nw\n55\n"
    mctl("rm", "-f", "web")


def test_who_is_not_root_needs_consent_for_more(mctl: Mctl, alice_may_create: None) -> None:
    mctl("run", "-d", "--name", "hers", "/srv/alice", "sleep", "1000", user="alice")
    mctl("update", "--ulimit", "nofile=77:99", "hers", user="alice")
    for option in (["--device", "/dev/fuse:/dev/x"], ["--ulimit", "nofile=1:1000000"], ["--ulimit", "nice=1:1"]):
        refused = mctl("update", *option, "hers", user="alice", check=False)
        assert refused.returncode == 1
        assert "org.mctl1.create-privileged" in refused.stderr.decode()
    assert mctl("exec", "hers", "sh", "-c", "ulimit -Hn; ls /dev/x || true", user="alice").text == "99\n"
