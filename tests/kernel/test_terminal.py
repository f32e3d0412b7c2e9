# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal made by the stage, driven without the daemon. Needs root."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import termios
from typing import TYPE_CHECKING

import pytest

from kernel.driver import IDS, INHERITED, NAMESPACES, conducted, step
from mctld.errors import CommandNotFound, SetupFailed
from mctld.kernel import constants as c
from mctld.kernel import files, mount
from mctld.lifecycle.readiness import readable
from mctld.runtime import users
from mctld.runtime.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mctld.runtime.launch import Spawner, Stage
    from mctld.runtime.plan import Step

BUSYBOX = "/bin/busybox"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces: needs root"),
    pytest.mark.skipif(not os.path.exists(BUSYBOX), reason="needs busybox, static, for a root directory"),
]

QUIET = c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NOEXEC
POINTS = {"newinstance": None, "ptmxmode": "0666", "mode": "0620", "gid": "5", "max": "8"}
APPLETS = ("cat", "cut", "id", "ls", "readlink", "sh", "sleep", "stat", "stty", "tr", "tty")
SESSION = 5  # columns of /proc/PID/stat after the name, proc_pid_stat(5)
TERMINAL = 6


def filesystem(kind: str, target: str, **options: str | None) -> Step:
    return step("filesystem", kind=kind, target=target, options=options, attributes=QUIET)


def interactive(*command: str, user: str = "0", points: Step | None = None) -> Plan:
    """The steps of a container with a terminal that have to do with it, in their order."""
    return Plan(
        (
            step("own-credentials"),
            step("root"),
            filesystem("proc", "/proc"),
            filesystem("tmpfs", "/dev", mode="755"),
            step("device", source="/dev/tty", target="/dev/tty"),
            points or filesystem("devpts", "/dev/pts", **POINTS),
            step("terminal", rows=33, columns=77, console=True),
            step("device", source="console", target="/dev/console"),
            step("gate"),
            step("pivot"),
            step("fresh-process"),
            step("controlling-terminal", user=user, group=user),
            step("user", user=user, group=user, keep=False),
            step("working-directory", path="/"),
            step("program", name=command[0], path="/bin"),
            step("execute", command=list(command), environment={"PATH": "/bin"}),
        )
    )


@pytest.fixture
def root() -> Iterator[int]:
    """A detached root file system of the container's own root, for one start."""
    mounted = mount.new_filesystem("tmpfs", {"mode": "0755"}, source="tmpfs")
    here = f"/proc/self/fd/{mounted}"
    os.mkdir(f"{here}/bin")
    shutil.copy(BUSYBOX, f"{here}/bin/busybox")
    for applet in APPLETS:
        os.symlink("busybox", f"{here}/bin/{applet}")
    for path in (here, f"{here}/bin", f"{here}/bin/busybox"):
        os.chown(path, users.FIRST, users.FIRST)
    yield mounted
    os.close(mounted)


class Session:
    """The master's side of a command with a terminal."""

    def __init__(self, stage: Stage, master: int) -> None:
        self.stage = stage
        self.master = master

    async def text(self) -> str:
        """All that is written until nobody inside has it open any more."""
        found = b""
        while True:
            await readable(self.master)
            try:
                found += os.read(self.master, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                return found.decode()

    async def until(self, wanted: str) -> str:
        found = ""
        while wanted not in found:
            await readable(self.master)
            found += os.read(self.master, 65536).decode()
        return found


async def begun(client: Spawner, work: Plan, root: int) -> Session:
    stage = await client.spawn("one", NAMESPACES, IDS, INHERITED)
    try:
        stage.begin(work, {"root": root})
        await stage.finish(work)
        master = stage.take("terminal")
        assert master is not None
        assert not os.get_inheritable(master)
        assert stage.take("terminal") is None
        return Session(stage, master)
    finally:
        stage.close()


async def output(client: Spawner, work: Plan, root: int) -> dict[str, str]:
    """Words like key=value of what the command prints."""
    session = await begun(client, work, root)
    text = await session.text()
    await ended(session)
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


async def ended(session: Session) -> None:
    await readable(session.stage.pidfd)
    os.close(session.stage.pidfd)
    os.close(session.master)


def test_the_command_leads_a_session_with_a_terminal_of_its_own(address: str, root: int) -> None:
    script = """
        echo tty=$(tty) size=$(stty size | tr ' ' x) fds=$(ls /proc/$$/fd | tr '\\n' ,)
        echo owner=$(stat -c %u:%g:%a /dev/pts/0)
        echo console=$(stat -c %t:%T /dev/console) named=$(stat -c %t:%T /dev/pts/0)
        set -- $(cat /proc/self/stat); echo session=$6 terminal=$7
        echo there > /dev/console; echo and=here > /dev/tty
    """

    async def act(client: Spawner) -> None:
        found = await output(client, interactive("sh", "-c", script), root)
        assert found == {
            "tty": "/dev/pts/0", "size": "33x77", "fds": "0,1,2,3,", "owner": "0:5:620", "console": "88:0",
            "named": "88:0", "session": "1", "terminal": str(136 << 8), "and": "here",
        }  # fmt: skip  (descriptor 3 is the shell's own pipe)

    conducted(address, act)


def test_it_belongs_to_the_one_who_uses_it(address: str, root: int) -> None:
    script = "echo owner=$(stat -c %u:%g:%a /dev/console) id=$(id -u); echo open=yes > /dev/pts/0"

    async def act(client: Spawner) -> None:
        found = await output(client, interactive("sh", "-c", script, user="1000"), root)
        assert found == {"owner": "1000:5:620", "id": "1000", "open": "yes"}

    conducted(address, act)


def test_keys_become_signals_and_windows_change(address: str, root: int) -> None:
    script = """
        trap 'echo winch=$(stty size)' WINCH; trap 'echo int; exit 9' INT
        echo ready; while :; do sleep 0.05; done
    """

    async def act(client: Spawner) -> None:
        session = await begun(client, interactive("sh", "-c", script), root)
        await session.until("ready")
        fcntl.ioctl(session.master, termios.TIOCSWINSZ, struct.pack("4H", 50, 132, 0, 0))
        await session.until("winch=50 132")
        os.write(session.master, b"\x03")
        await session.until("int")
        await ended(session)
        assert (await client.status("one")).status == 9

    conducted(address, act)


def test_without_its_master_the_session_ends(address: str, root: int) -> None:
    """So that the service must keep it: the kernel sends SIGHUP when the last descriptor is closed."""

    async def act(client: Spawner) -> None:
        script = "trap 'exit 8' HUP; echo ready; while :; do sleep 0.05; done"
        session = await begun(client, interactive("sh", "-c", script), root)
        await session.until("ready")
        os.close(session.master)
        await readable(session.stage.pidfd)
        os.close(session.stage.pidfd)
        assert (await client.status("one")).status == 8

    conducted(address, act)


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        (filesystem("tmpfs", "/dev/pts"), "not a devpts file system"),
        (step("symlink", target="/dev/pts", points_to="/elsewhere"), "Too many levels of symbolic links"),
        (step("filesystem", kind="devpts", target="/elsewhere", options=POINTS, attributes=QUIET), "No such file"),
    ],
)
def test_what_is_no_devpts_is_not_opened(address: str, root: int, points: Step, sentence: str) -> None:
    """CVE-2025-52565: there may be anything by that name."""

    async def act(client: Spawner) -> None:
        with pytest.raises(SetupFailed, match=f"do terminal.*{sentence}"):
            await begun(client, interactive("true", points=points), root)

    conducted(address, act)


def test_what_a_failed_plan_has_made_is_closed(address: str, root: int) -> None:
    """The master has come up by then."""

    async def act(client: Spawner) -> None:
        await client.connect()
        before = os.listdir("/proc/self/fd")
        stage = await client.spawn("one", NAMESPACES, IDS, INHERITED)
        work = interactive("/no/such")
        stage.begin(work, {"root": root})
        with pytest.raises(CommandNotFound):
            await stage.finish(work)
        stage.close()
        await readable(stage.pidfd)
        os.close(stage.pidfd)
        assert os.listdir("/proc/self/fd") == before

    conducted(address, act)


def test_file_systems_are_told_apart() -> None:
    for path, kind in (("/proc", 0x9FA0), ("/dev/pts", c.DEVPTS_SUPER_MAGIC)):
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        assert files.filesystem_type(opened) == kind
        os.close(opened)
