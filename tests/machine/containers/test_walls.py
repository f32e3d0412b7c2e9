# SPDX-License-Identifier: GPL-3.0-or-later
"""The walls as a user orders them: what holds, what is shown, and who is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

ALICE = "/srv/alice"
UNSHARED = "cat /proc/self/uid_map"


@pytest.fixture
def data(mctl: Mctl) -> Iterator[str]:
    """A directory of alice's with a file, a socket, and a file of root's; removed at the end."""
    mctl.shell("""
        mkdir -p /srv/data/below; cd /srv/data; echo hers > file; echo secret > roots; chmod 600 roots
        chown alice: . below file; chmod 755 . below
        runuser -u alice -- python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("/srv/data/socket")'
    """)
    yield "/srv/data"
    mctl.shell("rm -rf /srv/data")


def test_a_read_only_root_with_room_in_memory(mctl: Mctl) -> None:
    options = ["--rm", "--read-only", "--tmpfs", "/run:size=64k,mode=755", "--shm-size", "128k"]
    script = """
        touch /x /etc/hosts /dev/shm/a; head -c 200000 /dev/zero > /dev/shm/b; head -c 100000 /dev/zero > /run/b
        stat -c %a /run; wc -c < /run/b; wc -c < /dev/shm/b
    """
    result = mctl.run("sh", "-c", script, options=options, check=False)
    errors = result.stderr.decode()
    assert errors.count("Read-only file system") == 2
    assert result.text.split() == ["755", "65536", "131072"]


@pytest.mark.usefixtures("alice_may_create")
def test_her_own_files_are_shown_to_her_container(mctl: Mctl, data: str) -> None:
    options = ["--rm", "-v", f"{data}:/d", "-v", f"{data}/file:/one", "-v", f"{data}/socket:/run/sock",
               "-v", f"{data}/below:/ro:ro"]  # fmt: skip
    script = """
        stat -c %u /d /d/file /d/roots /one /run/sock; cat /one; cat /d/roots; test -S /run/sock && echo socket
        echo new > /d/new; chmod 4755 /d/new; touch /ro/x; rm -f /d/roots; su 2>/dev/null; echo end
    """
    result = mctl.run("sh", "-c", script, options=options, rootfs=ALICE, user="alice", check=False)
    assert result.text.split() == ["0", "0", "65534", "0", "0", "hers", "socket", "end"]
    assert "Read-only file system" in result.stderr.decode()
    assert mctl.shell(f"stat -c '%U %G %a' {data}/new; cat {data}/roots").text == "alice alice 4755\nsecret\n"


@pytest.mark.usefixtures("alice_may_create")
def test_no_program_of_a_strange_group_is_made(mctl: Mctl) -> None:
    """Root inside is in the group of what is shown: with a file in /var/mail alice would have become group mail."""
    mctl.shell("touch /srv/box; chown alice:mail /srv/box; chmod 660 /srv/box")
    try:
        result = mctl.run("true", options=["--rm", "-v", "/srv/box:/m"], rootfs=ALICE, user="alice", check=False)
        assert "org.mctl1.create-privileged" in result.stderr.decode()
        assert mctl.shell("stat -c %A /srv/box").text == "-rw-rw----\n"
    finally:
        mctl.shell("rm /srv/box")


def test_a_mount_below_a_volume_stays_where_it_is_made(mctl: Mctl, data: str) -> None:
    mctl.shell(f"mount --bind {data} {data}; mount --make-shared {data}")
    try:
        options = ["-d", "--name", "volume", "-v", f"{data}:/d", "--cap-add", "SYS_ADMIN",
                   "--security-opt", "seccomp=unconfined"]  # fmt: skip
        mctl.run("sh", "-c", "mount -t tmpfs inside /d/below; sleep 1000", options=options)
        mctl.shell(f"mount -t tmpfs later {data}/below")
        inside = mctl("exec", "volume", "cat", "/proc/self/mountinfo").text
        assert " inside " in inside
        assert " later " not in inside
        assert " inside " not in mctl.shell("cat /proc/1/mountinfo").text
    finally:
        mctl.shell(f"umount {data}/below; umount {data}", check=False)


def test_roots_volume_shows_what_is_mounted_below(mctl: Mctl, data: str) -> None:
    mctl.shell(f"cp -a {data}/file /srv/file2; mount --bind /srv/file2 {data}/file; echo other > /srv/file2")
    try:
        seen = [
            mctl.run("cat", "/d/file", options=["--rm", "--mount", f"source={data},target=/d{more}"]).text
            for more in ("", ",readonly", ",bind-nonrecursive")
        ]
        assert seen == ["other\n", "other\n", "hers\n"]
    finally:
        mctl.shell(f"umount {data}/file; rm /srv/file2")


def test_a_volume_that_is_gone_or_another(mctl: Mctl, data: str) -> None:
    mctl.run("true", options=["--name", "again", "-v", f"{data}/below:/d"])
    mctl.shell(f"mv {data}/below {data}/moved")
    gone = mctl("start", "again", check=False).stderr.decode()
    assert "could not show /srv/data/below" in gone
    assert "No such file" in gone
    for other in (f"ln -s moved {data}/below", f"mkdir {data}/below"):
        mctl.shell(f"rm -f {data}/below; {other}")
        assert "is no longer the one" in mctl("start", "again", check=False).stderr.decode()
    mctl.shell(f"rmdir {data}/below; mv {data}/moved {data}/below")
    mctl("start", "again")


def test_parameters_and_limits(mctl: Mctl) -> None:
    before = mctl.shell("cat /proc/sys/net/ipv4/ip_default_ttl").text
    options = ["--rm", "--sysctl", "net.ipv4.ip_default_ttl=99", "--sysctl", "net/ipv4/conf/lo/forwarding=1",
               "--ulimit", "nofile=100:200", "--ulimit", "core=0:0", "--oom-score-adj", "77"]  # fmt: skip
    script = """
        cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/net/ipv4/conf/lo/forwarding /proc/self/oom_score_adj
        ulimit -n; ulimit -Hn; ulimit -Hc; ulimit -n 201 || echo refused
    """
    result = mctl.run("sh", "-c", script, options=options, check=False)
    assert result.text.split() == ["99", "1", "77", "100", "200", "0", "refused"]
    assert mctl.shell("cat /proc/sys/net/ipv4/ip_default_ttl").text == before


def test_more_descriptors_than_the_kernel_allows(mctl: Mctl) -> None:
    most = int(mctl.shell("cat /proc/sys/fs/nr_open").text)
    result = mctl.run("true", options=["--rm", "--ulimit", f"nofile={most + 1}"], check=False)
    assert result.returncode == 125
    assert "NOFILE" in result.stderr.decode()
    assert mctl("ps", "-a", "-q").text == ""


def test_a_user_of_the_image(mctl: Mctl) -> None:
    mctl.shell("""
        mkdir -p /srv/root/etc; cd /srv/root/etc
        echo web:x:33:33::/tmp:/bin/sh > passwd; printf 'web:x:33:\\nlogs:x:44:web\\n' > group
    """)
    try:
        script = "id -u; id -G; echo $HOME; touch /tmp/x && stat -c %u /tmp/x"
        mctl.shell("chmod 1777 /srv/root/tmp")
        assert mctl.run("sh", "-c", script, options=["--rm", "-u", "web"]).text.split() == [
            "33", "33", "44", "/tmp", "33",
        ]  # fmt: skip
        missing = mctl.run("true", options=["--rm", "-u", "nobody"], check=False)
        assert "user 'nobody' does not exist in the container" in missing.stderr.decode()
    finally:
        mctl.shell("rm -r /srv/root/etc/passwd /srv/root/etc/group")


def test_set_user_id_programs_work_where_they_may(mctl: Mctl) -> None:
    mctl.shell("cp -a /srv/root /srv/setuid; cd /srv/setuid/bin; cp /usr/bin/tini-static .; chmod 4755 tini-static")
    root, script = "/srv/setuid", "grep -E 'Uid|CapEff|CapBnd' /proc/$PPID/status"  # busybox gives up what it gained
    try:
        found = [
            mctl.run("tini-static", "--", "sh", "-c", script, options=["--rm", "-u", "1000", *more], rootfs=root).text
            for more in ([], ["--security-opt", "no-new-privileges=false"])
        ]
        ids, none, kept = ("1000", "1000", "1000", "1000"), "0000000000000000", "00000000800405fb"
        assert [line.split()[1:] for line in found[0].splitlines()] == [[*ids], [none], [kept]]
        assert [line.split()[1:] for line in found[1].splitlines()] == [["1000", "0", "0", "0"], [kept], [kept]]
    finally:
        mctl.shell("rm -r /srv/setuid")


@pytest.mark.parametrize("mode", ["auto", "host", "200000"])
def test_user_namespaces(mctl: Mctl, mode: str) -> None:
    """The host's are the host's; a range by number is that range, and nobody else's."""
    name = f"users-{mode}"
    mctl.run("sleep", "1000", options=["-d", "--name", name, "--userns", mode])
    shift = mctl.properties(name)["UIDShift"]
    first, outside, count = mctl("exec", name, "cat", "/proc/self/uid_map").text.split()
    pid = mctl.properties(name)["MainPID"]
    owner = mctl.shell(f"stat -c %u /proc/{pid}").text.strip()
    expected = {"host": (0, 2**32 - 1), "200000": (200_000, 65_536)}.get(mode, (shift, 65_536))
    assert (int(first), int(outside), int(count)) == (0, *expected)
    assert int(owner) == shift == expected[0]
    namespaces = mctl.shell(f"readlink /proc/{pid}/ns/user /proc/1/ns/user").text.split()
    assert (len(set(namespaces)) == 1) == (mode == "host")
    if mode == "200000":
        taken = mctl.run("true", options=["--rm", "--userns", "265535"], check=False)
        assert "are another container's" in taken.stderr.decode()


def test_capabilities_of_another_user(mctl: Mctl) -> None:
    script = "grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status"
    options = ["--rm", "-u", "1000", "--cap-add", "NET_BIND_SERVICE"]
    assert {line.split()[1] for line in mctl.run("sh", "-c", script, options=options).text.splitlines()} == {
        "0000000000000400"
    }


def test_strict_and_privileged(mctl: Mctl) -> None:
    script = """
        grep -E 'Cap|NoNew' /proc/self/status; ls /sys/module | wc -l
        echo 7 > /proc/sys/kernel/msgmax; cat /proc/sys/kernel/msgmax
    """
    found = {}
    for name, words in (("strict", ["--security-opt", "strict"]), ("privileged", ["--privileged"])):
        text = mctl.run("sh", "-c", script, options=["--rm", *words], check=False).text.split()
        found[name] = dict(zip(text[0:12:2], text[1:12:2], strict=True)), text[12:]
    assert set(found["strict"][0].values()) == {"0" * 16, "1"}
    assert found["strict"][1][0] == "0"
    assert found["strict"][1][1] != "7"
    assert found["privileged"][0]["NoNewPrivs:"] == "0"
    assert int(found["privileged"][0]["CapEff:"], 16) > 1 << 37
    assert found["privileged"][1][1] == "7"
    assert int(found["privileged"][1][0]) > 0


def test_a_reaper(mctl: Mctl) -> None:
    """It takes in what is left behind, passes signals on, and its end is the command's."""
    script = """
        trap 'echo stopped; exit 5' TERM; (sleep 0.1 &); sleep 1; ps -o pid,stat | grep -c Z
        echo ready; while :; do sleep 0.1; done
    """
    mctl.run("sh", "-c", script, options=["-d", "--init", "--name", "reaped"])
    mctl.shell("until [ \"$(mctl logs reaped | tail -n1)\" = ready ]; do sleep 0.2; done", timeout=20)
    mctl("stop", "-t", "10", "reaped")
    assert mctl("logs", "reaped").text.split() == ["0", "ready", "stopped"]
    assert mctl.properties("reaped")["ExitStatus"] == 5
    missing = mctl.run("/bin/nope", options=["--rm", "--init"], check=False)
    assert missing.returncode == 127
    assert "/bin/nope" in missing.stderr.decode()
    assert mctl.run("sh", "-c", "exit 9", options=["--rm", "--init"], check=False).returncode == 9


@pytest.mark.parametrize("kind", ["dangling", "absolute", "climbing", "directory"])
def test_files_of_ours_never_touch_what_an_image_points_at(mctl: Mctl, kind: str) -> None:
    mctl.shell("cp -a /srv/root /srv/hostile; mkdir -p /srv/hostile/etc; echo alive > /srv/canary")
    targets = {"dangling": "/nowhere", "absolute": "/srv/canary", "climbing": "../../../../srv/canary"}
    make = f"ln -s {targets[kind]}" if kind in targets else "mkdir"
    try:
        for name in ("hostname", "hosts", "resolv.conf"):
            mctl.shell(f"{make} /srv/hostile/etc/{name}")
        options = ["--rm", "--add-host", "db:10.9.8.7"]
        script = "cat /etc/hosts /etc/resolv.conf; for f in hosts hostname resolv.conf; do echo x > /etc/$f; done"
        result = mctl.run("sh", "-c", script, options=options, rootfs="/srv/hostile", check=False)
        if kind == "directory":
            assert "could not show /etc/hostname" in result.stderr.decode()
        else:
            assert "10.9.8.7\tdb" in result.text
            assert "nameserver 172.20.0.1\n" in result.text
        assert mctl.shell("cat /srv/canary; ls /nowhere 2>&1 | wc -l").text == "alive\n1\n"
        assert "10.9.8.7" not in mctl.shell("grep -r 10.9.8.7 /srv/hostile/etc", check=False).text
    finally:
        mctl.shell("rm -r /srv/hostile /srv/canary")


@pytest.mark.parametrize("target", ["/proc", "/", "/sys/fs/cgroup", "/dev"])
def test_no_link_of_an_image_covers_the_walls(mctl: Mctl, data: str, target: str) -> None:
    mctl.shell(f"cp -a /srv/root /srv/hostile; ln -s {target} /srv/hostile/data")
    try:
        for words in (["-v", f"{data}:/data"], ["--tmpfs", "/data"]):
            result = mctl.run("true", options=["--rm", *words], rootfs="/srv/hostile", check=False)
            assert result.returncode == 125
            assert "which the container's walls stand on" in result.stderr.decode()
    finally:
        mctl.shell("rm -r /srv/hostile")


def test_a_container_that_removes_itself_may_fail_to_start_first(mctl: Mctl) -> None:
    """Its layer is volatile, and the kernel takes up no volatile layer that it does not know to be whole."""
    mctl.shell("cp -a /srv/root /srv/late")
    try:
        mctl("create", "--rm", "--name", "late", "/srv/late", "/late")
        assert mctl("start", "late", check=False).returncode != 0
        mctl.shell("ln -s /bin/true /srv/late/late")
        mctl("start", "late")
        mctl.shell("while mctl ps -a -q | grep -q .; do sleep 0.1; done", timeout=10)
    finally:
        mctl.shell("rm -r /srv/late")


@pytest.mark.allow_journal(r"status=9/KILL", r"Failed with result 'signal'")
def test_the_walls_are_the_same_after_the_service_was_killed(mctl: Mctl, data: str) -> None:
    options = ["--name", "kept", "--read-only", "--init", "-v", f"{data}/below:/d:ro", "--tmpfs", "/run:size=64k",
               "--cap-drop", "ALL", "--ulimit", "nofile=50", "--userns", "300000", "-u", "7:8",
               "--add-host", "db:10.9.8.7", "--sysctl", "kernel.msgmax=99"]  # fmt: skip
    script = """
        grep -E 'Cap|NoNew|[UG]id|Groups' /proc/self/status; cut -d' ' -f5- /proc/self/mountinfo
        cat /etc/hosts /proc/sys/kernel/msgmax /proc/self/uid_map; ulimit -n
    """
    mctl.run("sh", "-c", script, options=options)
    first = mctl("logs", "kept").text
    before = {k: v for k, v in mctl.properties("kept").items() if "Timestamp" not in k}
    mctl.kill_service()
    mctl("start", "kept")
    mctl.shell("busctl call org.mctl1 /org/mctl1 org.mctl1.Manager WaitContainer s kept")
    after = {k: v for k, v in mctl.properties("kept").items() if "Timestamp" not in k}
    assert json.dumps(after) == json.dumps(before)
    both = mctl("logs", "kept").text
    assert both.startswith(first)
    assert plain(both[len(first) :]) == plain(first)


def plain(text: str) -> list[str]:
    """Without what the kernel numbers anew at each start."""
    return [line for line in text.splitlines() if "lowerdir" not in line]


HARMLESS = (
    ["--read-only", "--init"], ["--cap-drop", "ALL"], ["--security-opt", "strict", "--cap-add", "KILL"],
    ["--tmpfs", "/run"], ["--shm-size", "1m"], ["--sysctl", "net.ipv4.ip_forward=1"], ["--ulimit", "nofile=10"],
    ["--oom-score-adj", "5"], ["-v", f"{ALICE}/tmp:/data"], ["-v", f"{ALICE}/bin/busybox:/b:ro"],
    ["--add-host", "a:1.2.3.4", "--dns", "1.1.1.1"], ["-u", "5:6"], ["--security-opt", "no-new-privileges=false"],
)  # fmt: skip
DANGEROUS = (
    ["--privileged"], ["--cap-add", "NET_RAW"], ["--cap-add", "ALL"], ["--security-opt", "seccomp=unconfined"],
    ["--security-opt", "unmask=ALL"], ["--security-opt", "unmask=/proc/kcore"], ["--userns", "host"],
    ["--userns", "100000"], ["--oom-score-adj", "-5"], ["--ulimit", "nice=5"], ["-v", "/etc:/data:ro"],
    ["-v", "/etc/hostname:/data"], ["-v", "/run/dbus/system_bus_socket:/bus"], ["-v", "/:/host"],
)  # fmt: skip


@pytest.mark.usefixtures("alice_may_create")
@pytest.mark.parametrize("words", HARMLESS, ids=" ".join)
def test_what_alice_may(mctl: Mctl, words: list[str]) -> None:
    mctl.run("true", options=["--rm", *words], rootfs=ALICE, user="alice")


@pytest.mark.usefixtures("alice_may_create")
@pytest.mark.parametrize("words", DANGEROUS, ids=" ".join)
def test_what_alice_may_not(mctl: Mctl, words: list[str]) -> None:
    result = mctl.run("true", options=["--rm", *words], rootfs=ALICE, user="alice", check=False)
    assert result.returncode == 125
    assert "org.mctl1.create-privileged" in result.stderr.decode()
    assert mctl("ps", "-a", "-q").text == ""
