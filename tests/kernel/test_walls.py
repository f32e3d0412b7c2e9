# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stage makes of a specification, in real namespaces and without the daemon. Needs root."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from kernel.box import Box, bind, loose
from mctld.errors import SetupFailed
from mctld.hidden import MASKED, READ_ONLY
from mctld.mounts import Tmpfs
from mctld.runtime import reaper
from mctld.runtime.capabilities import mask
from mctld.spec import User

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces: needs root")


@pytest.fixture
def box(address: str, tmp_path: Path) -> Box:
    return Box(address, tmp_path)


def there(paths: tuple[str, ...]) -> list[str]:
    """Those that this kernel has."""
    return [path for path in paths if os.path.exists(path)]


def test_what_is_hidden_is_empty(box: Box) -> None:
    hidden = there(MASKED)
    script = f"""
        for path in {' '.join(hidden)}; do
            if [ -d $path ]; then ls -A $path; else cat $path; stat -c %t:%T $path; fi
        done
    """
    assert set(box.run(script).splitlines()) <= {"1:3"}
    assert len(hidden) > 5


def test_what_is_kept_from_change_is_a_read_only_mount(box: Box) -> None:
    mounts = [line.split() for line in box.run("cat /proc/self/mountinfo").splitlines()]
    found = {fields[4]: fields[5].split(",") for fields in mounts}
    for path in (*there(READ_ONLY), *(path for path in there(MASKED) if "*" not in path), "/sys"):
        assert "ro" in found[path], path
    for place in ("/proc", "/sys", "/dev/shm", "/dev/mqueue", "/usr"):
        assert "nosuid" in found[place]
        assert "nodev" in found[place]


def test_what_is_not_hidden_is_there(box: Box) -> None:
    text = box.run("ls /sys/module | wc -l; ls /sys/firmware | wc -l", security=loose(unmask=("/sys/module",)))
    assert [int(line) > 0 for line in text.split()] == [True, False]


def test_parameters_of_the_kernel_are_read_only(box: Box) -> None:
    text = box.run("for f in kernel/msgmax net/ipv4/ip_forward; do echo 1 > /proc/sys/$f; done")
    assert text.count("Read-only file system") == 2
    text = box.run("echo 5 > /proc/sys/kernel/msgmax; cat /proc/sys/kernel/msgmax", security=loose(unmask=("ALL",)))
    assert text == "5\n"


@pytest.mark.parametrize(
    ("name", "value", "file"),
    [
        ("net.ipv4.ip_forward", "1", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_default_ttl", "77", "net/ipv4/ip_default_ttl"),
        ("kernel.msgmax", "1234", "kernel/msgmax"),
        ("net.ipv4.conf.lo.forwarding", "1", "net/ipv4/conf/lo/forwarding"),
        ("net/ipv4/conf/lo/forwarding", "1", "net/ipv4/conf/lo/forwarding"),
    ],
)
def test_a_parameter_is_the_containers_own(box: Box, name: str, value: str, file: str) -> None:
    with open(f"/proc/sys/{file}") as opened:
        before = opened.read()
    assert box.run(f"cat /proc/sys/{file}", security=loose(sysctls=((name, value),))) == f"{value}\n"
    with open(f"/proc/sys/{file}") as opened:
        assert opened.read() == before


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("net.ipv4.no_such", "1", "set net.ipv4.no_such"),
        ("net.ipv4.ip_forward", "yes", "Invalid argument"),
        ("net.ipv4/ip_forward", "1", "No such file"),  # a file ipv4.ip_forward: dots and slashes change places
    ],
)
def test_a_parameter_that_cannot_be(box: Box, name: str, value: str, words: str) -> None:
    with pytest.raises(SetupFailed, match=words):
        box.run("true", security=loose(sysctls=((name, value),)))


def test_a_read_only_root(box: Box) -> None:
    """But what was asked for as writable is."""
    script = """
        for path in / /etc /etc/hosts /etc/resolv.conf /tmp /usr; do [ -w $path ] && echo writable $path; done
        touch /x /etc/hosts; echo 1 > /data/x && touch /dev/shm/x /run/x && cat /data/x
    """
    (box.outside / "data").mkdir()
    text = box.run(script, read_only=True, binds=(bind(box.outside / "data", "/data"),), tmpfs=(Tmpfs("/run"),))
    assert text.count("Read-only file system") == 2
    assert "writable" not in text
    assert text.endswith("1\n")
    assert (box.outside / "data/x").stat().st_uid == 0


def test_a_root_that_is_not(box: Box) -> None:
    assert box.run("touch /x && echo a >> /etc/hosts && tail -n1 /etc/hosts") == "a\n"


PASSWD = "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv/web:/bin/sh\n"
GROUP = "root:x:0:\nweb:x:33:\nlogs:x:44:web\nother:x:55:root\n"
WHO = "id -u; id -G; echo $HOME"


@pytest.mark.parametrize(
    ("user", "found"),
    [
        (User("web"), ["33", "33 44", "/srv/web"]),
        (User("33"), ["33", "33 44", "/srv/web"]),
        (User("web", "logs"), ["33", "44", "/srv/web"]),
        (User("33", "7"), ["33", "7", "/srv/web"]),
        (User("1234"), ["1234", "0", "/"]),
        (User("root"), ["0", "0 55", "/root"]),
        (User("0", "0"), ["0", "0", "/root"]),
    ],
)
def test_users_of_the_image(box: Box, user: User, found: list[str]) -> None:
    (box.root / "etc/passwd").write_text(PASSWD)
    (box.root / "etc/group").write_text(GROUP)
    assert box.run(WHO, user=user).splitlines() == found


def test_a_home_that_is_declared_stays(box: Box) -> None:
    (box.root / "etc/passwd").write_text(PASSWD)
    assert box.run("echo $HOME", user=User("web"), environment=("HOME=/else",)) == "/else\n"


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("passwd", lambda path: os.mkfifo(path), "not a regular file"),
        ("passwd", lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        ("passwd", lambda path: path.symlink_to("/proc/self/fd/0"), "Too many levels"),
        ("group", lambda path: path.open("w").truncate(1 << 30), "larger than 1048576 bytes"),
        ("group", lambda path: path.symlink_to("/dev/null"), "not a regular file"),
    ],
)
def test_accounts_that_mean_harm(box: Box, name: str, make: Any, words: str) -> None:
    """CVE-2024-9676: told at once, by the stage, which may use no more memory than it has."""
    for file, text in (("passwd", PASSWD), ("group", GROUP)):
        (box.root / "etc" / file).write_text(text)
    (box.root / "etc" / name).unlink()
    make(box.root / "etc" / name)
    with pytest.raises(SetupFailed, match=f"become user web: .*{words}|become user web.*{words}"):
        box.run("true", user=User("web"))


@pytest.mark.parametrize(("name", "soft", "hard", "option"), [("NOFILE", 4, 6, "n"), ("CORE", 7, 7, "c")])
def test_limits_however_low(box: Box, name: str, soft: int, hard: int, option: str) -> None:
    """The stage itself needs more descriptors than a payload may be given."""
    text = box.run(f"ulimit -S{option}; ulimit -H{option}", security=loose(rlimits=((name, soft, hard),)))
    unit = 512 if option == "c" else 1
    assert text.split() == [str(soft // unit), str(hard // unit)]


def test_a_limit_above_what_there_is(box: Box) -> None:
    with pytest.raises(SetupFailed, match=r"set resource limits: .*NOFILE"):
        box.run("true", security=loose(rlimits=(("NOFILE", 1, 1 << 40),)))


CAPABILITIES = "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs' /proc/self/status | cut -f2 | tr '\\n' ' '"


def masks(*names: str) -> str:
    return f"{mask(list(names)):016x}"


NONE = "0" * 16


@pytest.mark.parametrize("user", ["0", "1000"])
@pytest.mark.parametrize(
    ("kept", "ambient"),
    [(("CHOWN", "KILL"), ()), ((), ()), (("CHOWN", "NET_RAW"), ("NET_RAW",))],
)
@pytest.mark.parametrize("forbidden", [True, False])
def test_all_five_sets(
    box: Box, user: str, kept: tuple[str, ...], ambient: tuple[str, ...], *, forbidden: bool
) -> None:
    """CVE-2022-29162; and what the stage needs to load a filter, CAP_SYS_ADMIN, is gone with it."""
    security = loose(capabilities=kept, ambient=ambient, no_new_privileges=forbidden)
    inherited, permitted, effective, bounding, raised, forbids = box.run(
        CAPABILITIES, user=User(user), security=security
    ).split()
    held = masks(*kept) if user == "0" else masks(*ambient)
    assert (permitted, effective, bounding) == (held, held, masks(*kept))
    assert (inherited, raised) == ((NONE, NONE) if user == "0" else (held, held))
    assert forbids == str(int(forbidden))


@pytest.mark.skipif(not os.path.exists(reaper.PROGRAM), reason="tini-static is not installed")
def test_a_reaper_is_the_first_process(box: Box) -> None:
    """Its file is a sealed copy in memory: nobody inside can write to the host's (CVE-2019-5736)."""
    script = """
        readlink /proc/1/exe; echo $$; (sh -c 'sleep 0.2 & echo $!' > /tmp/pid)
        i=0; while [ -e /proc/$(cat /tmp/pid) ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
        [ -e /proc/$(cat /tmp/pid) ] || echo reaped
        echo x > /proc/1/exe
    """
    lines = box.run(script, init=True).splitlines()
    assert lines[0] == "/memfd:tini (deleted)"
    assert lines[1:3] == ["2", "reaped"]
    assert "/proc/1/exe: " in lines[3]


@pytest.mark.skipif(not os.path.exists(reaper.PROGRAM), reason="tini-static is not installed")
def test_the_copy_is_sealed() -> None:
    copy = reaper.open_reaper()
    with pytest.raises(PermissionError):
        os.write(copy, b"x")
    with pytest.raises(PermissionError):
        os.ftruncate(copy, 1)
    os.close(copy)
