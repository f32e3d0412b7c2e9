# SPDX-License-Identifier: GPL-3.0-or-later
"""A person at a container's terminal: shells, keys, windows; leaving and coming back; restarts of the service."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from machine import player
from machine.escape import root

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from machine.guest import Machine

    from .conftest import Mctl

PLAYER = Path(player.__file__).read_text()
PROMPT = " # "
LEAVE = "\x10\x11"
RESIZED = "until stty size | grep -q '^50 132'; do sleep 0.1; done"
# Whose pid is in the file has its connection to the bus, and what the service has answered with.
ATTACHED = "until [ $(ls -l /proc/$(cat /tmp/pid)/fd | grep -c {}:) -ge {} ]; do sleep 0.1; done"
KILLED = r"mctld\.service: (Failed with result 'signal'|Main process exited.*)"

Step = tuple[str, dict[str, Any]]


def itself(command: str) -> str:
    """It, with its pid in a file."""
    return f"sh -c 'echo $$ > /tmp/pid; exec {command}'"


@dataclass(frozen=True)
class Played:
    seen: str
    status: int | None
    missed: str | None
    as_before: bool

    def came_to_its_end(self, status: int = 0) -> None:
        """All that was waited for was seen, and the caller's terminal is as it was."""
        assert (self.missed, self.status, self.as_before) == (None, status, True), self.seen


@pytest.fixture
def play(mctl: Mctl) -> Callable[..., Played]:
    """play("run", ..., steps=[(wait for, {"type": ...})]) as root or as a user."""

    def played(
        *argv: str, steps: Sequence[Step] = (), user: str | None = None, size: Sequence[int] = (33, 77)
    ) -> Played:
        script = {"argv": ["mctl", *argv], "size": size, "steps": steps}
        result = mctl.machine.run(["python3", "-c", PLAYER, json.dumps(script)], user=user, timeout=90)
        return Played(**json.loads(result.stdout))

    return played


def typed(wanted: str, text: str) -> Step:
    return wanted, {"type": text}


def test_a_shell_with_job_control(mctl: Mctl, play: Callable[..., Played]) -> None:
    steps = [
        typed(PROMPT, "tty; echo $TERM; stty size\n"),
        typed("/dev/pts/0\r\nvt220\r\n33 77\r\n", ""),
        typed(PROMPT, "echo ready; cat\n"),
        typed("\r\nready\r\n", "line\n"),
        typed("line\r\nline\r\n", "\x03"),
        typed(PROMPT, "echo interrupted=$?\n"),
        typed("interrupted=130", ""),
        typed(PROMPT, "echo ready; sleep 1000\n"),
        ("\r\nready\r\n", {"shell": "until pgrep -fx 'sleep 1000' > /dev/null; do sleep 0.1; done", "type": "\x1a"}),
        # A job that is gone counts as stopped until the shell has taken its status, as it does while it waits.
        typed("Stopped", "kill -9 %1; sleep 1; jobs\n"),
        typed("Killed", ""),
        typed(PROMPT, "exit 7\n"),
    ]
    found = play("run", "--rm", "-it", mctl.rootfs, "sh", steps=steps)
    found.came_to_its_end(7)
    assert "can't access tty" not in found.seen
    assert "job control" not in found.seen


def test_the_console_is_the_terminal(mctl: Mctl, play: Callable[..., Played]) -> None:
    script = (
        "echo one > /dev/console; echo two > /dev/tty; echo three >&2; echo owner=$(stat -c %u:%a /dev/console); "
        "echo fds=$(ls /proc/self/fd | wc -l); ls -l /dev/pts | wc -l; cat /proc/self/stat | cut -d' ' -f6-8"
    )
    found = play("run", "--rm", "-it", "-u", "1000", mctl.rootfs, "sh", "-c", script)
    found.came_to_its_end()
    assert found.seen.replace("\r", "").split() == [
        "one", "two", "three", "owner=1000:620", "fds=4", "3", "1", "34816", "1"
    ]  # fmt: skip


def test_the_window_and_its_changes(mctl: Mctl, play: Callable[..., Played]) -> None:
    script = "trap 'echo now=$(stty size)' WINCH; trap 'exit 4' INT; echo ready; while :; do sleep 0.1; done"
    steps: list[Step] = [("ready", {"resize": [50, 132]}), ("now=50 132", {"type": "\x03"})]
    play("run", "--rm", "-it", mctl.rootfs, "sh", "-c", script, steps=steps).came_to_its_end(4)


def test_leaving_and_coming_back(mctl: Mctl, play: Callable[..., Played]) -> None:
    steps = [typed(PROMPT, "echo first=$((1))\n"), typed("first=1", LEAVE)]
    found = play("run", "--name", "back", "-it", mctl.rootfs, "sh", steps=steps)
    found.came_to_its_end()
    assert "`mctl attach" in found.seen
    assert mctl.properties("back")["State"] == "running"
    steps = [typed(PROMPT, "echo second=$((2)); stty size\n"), typed("second=2\r\n20 60\r\n", "exit 9\n")]
    play("attach", "back", steps=steps, size=(20, 60)).came_to_its_end(9)
    lines = mctl("logs", "back").text
    assert "first=1\n" in lines
    assert "second=2\n" in lines


def test_other_keys_leave_where_they_are_given(mctl: Mctl, play: Callable[..., Played]) -> None:
    steps = [typed(PROMPT, f"echo kept={LEAVE}\n"), typed(PROMPT, "x\x18")]
    play("run", "--name", "other", "-it", "--detach-keys", "x,ctrl-x", mctl.rootfs, "sh", steps=steps).came_to_its_end()
    mctl("rm", "-f", "other")


def test_detached_with_a_terminal(mctl: Mctl, play: Callable[..., Played]) -> None:
    """Nobody watches; what it prints is in the journal, without what the terminal adds to a line's end."""
    script = "echo out; echo err >&2; read line; echo got=$line; exit 5"
    mctl.run("sh", "-c", script, options=["-dit", "--name", "alone"])
    assert mctl.properties("alone")["Terminal"] is True
    play("attach", "alone", steps=[typed("", "hello\n")]).came_to_its_end(5)
    entries = [str(e["MESSAGE"]) for e in mctl.journal("CONTAINER_NAME=alone", "_TRANSPORT=stdout")]
    assert entries == ["out", "err", "hello", "got=hello"]


def test_a_start_in_the_foreground(mctl: Mctl, play: Callable[..., Played]) -> None:
    mctl("create", "-it", "--name", "again", mctl.rootfs, "sh", "-c", "stty size; read line; echo got=$line; exit 6")
    for _ in range(2):
        found = play("start", "-ai", "again", steps=[typed("33 77\r\n", "hello\n")])
        found.came_to_its_end(6)
        assert "got=hello" in found.seen


def test_a_start_in_the_foreground_without_terminal(mctl: Mctl) -> None:
    mctl("create", "--name", "plain", mctl.rootfs, "sh", "-c", "cat; echo err >&2; exit 6")
    result = mctl("start", "-a", "-i", "plain", stdin=b"a\0b", check=False)
    assert (result.returncode, result.stdout, result.stderr) == (6, b"a\0b", b"err\n")


def test_two_terminals_at_once(mctl: Mctl, play: Callable[..., Played]) -> None:
    """Both see the same; each may type; one leaves, the other stays."""
    other = (
        "(mctl attach two < /dev/null; echo status=$?) > /tmp/refused 2>&1; "
        f"({itself('mctl attach --no-stdin two')}; echo status=$?) > /tmp/other 2>&1 & {ATTACHED.format('socket', 2)}"
    )
    steps: list[Step] = [
        (PROMPT, {"shell": other}),
        ("", {"type": "echo both=$((3))\n"}),
        ("both=3", {"type": ""}),
        (PROMPT, {"type": "exit 4\n"}),
    ]
    play("run", "--name", "two", "-it", mctl.rootfs, "sh", steps=steps).came_to_its_end(4)
    mctl.until("grep status= /tmp/other")
    seen = mctl.shell("cat /tmp/other; cat /tmp/refused; rm /tmp/other /tmp/refused /tmp/pid").text
    assert "both=3" in seen
    assert "status=4" in seen
    assert "the input device is not a TTY" in seen
    assert "status=125" in seen


@pytest.mark.allow_journal(KILLED)
@pytest.mark.parametrize("how", ["systemctl restart mctld", "kill -9 $(systemctl show -P MainPID mctld); sleep 0.3"])
def test_a_session_goes_on_when_the_service_restarts(mctl: Mctl, play: Callable[..., Played], how: str) -> None:
    """PID 1 keeps the terminal and the connection of the one who is attached."""
    steps: list[Step] = [
        (PROMPT, {"type": "echo before=$((1))\n"}),
        ("before=1", {"shell": how}),
        ("", {"type": "echo after=$((2))\n"}),
        ("after=2", {"resize": [50, 132]}),
        (PROMPT, {"type": f"{RESIZED}; stty size; exit 3\n"}),
        ("50 132", {"type": ""}),
    ]
    found = play("run", "--name", "through", "-it", mctl.rootfs, "sh", steps=steps)
    found.came_to_its_end(3)
    assert "mctl:" not in found.seen
    entries = [str(e["MESSAGE"]) for e in mctl.journal("CONTAINER_NAME=through")]
    assert {"before=1", "after=2"} <= set(entries)
    assert mctl.shell("systemctl show -P NFileDescriptorStore mctld").text.strip() == "0"
    mctl.run("true", options=["--rm"])  # the new service opens its filter, and keeps it


def test_an_end_while_the_service_is_down(mctl: Mctl, play: Callable[..., Played]) -> None:
    """All that was printed is passed on, and the status too."""
    down = "systemctl stop mctld.service; sleep 1.5; systemctl start mctld.service"
    script = "echo early; sleep 1; echo late; exit 8"
    found = play("run", "--name", "down", "-it", mctl.rootfs, "sh", "-c", script, steps=[("early", {"shell": down})])
    found.came_to_its_end(8)
    assert found.seen == "early\r\nlate\r\n"
    mctl.run("true", options=["--rm"])


def test_a_client_that_is_killed_hangs_up_nobody(mctl: Mctl, play: Callable[..., Played]) -> None:
    found = play("run", "--name", "left", "-it", mctl.rootfs, "sh", steps=[(PROMPT, {"signal": signal.SIGKILL})])
    assert (found.missed, found.status, found.as_before) == (None, -signal.SIGKILL, False)
    play("attach", "left", steps=[typed(PROMPT, "exit 2\n")]).came_to_its_end(2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_this_command_alone(mctl: Mctl, play: Callable[..., Played], number: int) -> None:
    found = play("run", "--name", f"s{int(number)}", "-it", mctl.rootfs, "sh", steps=[(PROMPT, {"signal": number})])
    found.came_to_its_end(128 + number)
    assert "goes on without this command" in found.seen
    assert mctl.properties(f"s{int(number)}")["State"] == "running"


def test_modes_come_back_after_a_stop(mctl: Mctl, play: Callable[..., Played]) -> None:
    steps: list[Step] = [
        (PROMPT, {"signal": signal.SIGSTOP}),
        ("", {"signal": signal.SIGCONT}),
        ("", {"type": "exit 1\n"}),
    ]
    play("run", "--rm", "-it", mctl.rootfs, "sh", steps=steps).came_to_its_end(1)


def test_much_output_arrives_whole(mctl: Mctl, play: Callable[..., Played]) -> None:
    found = play("run", "--name", "much", "-it", mctl.rootfs, "seq", "60000")
    found.came_to_its_end()
    assert found.seen == "".join(f"{n}\r\n" for n in range(1, 60001))
    entries = mctl.journal("CONTAINER_NAME=much", "_TRANSPORT=stdout")
    assert [e["MESSAGE"] for e in entries] == [str(n) for n in range(1, 60001)]


def test_a_failed_start_says_so_on_a_terminal(mctl: Mctl, play: Callable[..., Played]) -> None:
    found = play("run", "--rm", "-it", mctl.rootfs, "/no/such")
    found.came_to_its_end(127)
    assert "does not exist in the container" in found.seen


def test_a_command_with_a_terminal_of_its_own(mctl: Mctl, play: Callable[..., Played]) -> None:
    """In a container that has none, and in one whose first process has another."""
    mctl.run("sleep", "1000", options=["-d", "--name", "plain"])
    mctl.run("sleep", "1000", options=["-dt", "--name", "with", "-e", "TERM=of-the-first"])
    for name, number in (("plain", 0), ("with", 1)):
        steps: list[Step] = [
            (PROMPT, {"type": "tty; echo $TERM; stty size\n"}),
            (f"/dev/pts/{number}\r\nvt220\r\n33 77\r\n", {"resize": [50, 132]}),
            (PROMPT, {"type": f"{RESIZED}; stty size; echo ready; cat\n"}),
            ("50 132\r\nready\r\n", {"shell": "until pgrep -fx cat > /dev/null; do sleep 0.1; done", "type": "\x03"}),
            (PROMPT, {"type": "exit 7\n"}),
        ]
        found = play("exec", "-it", name, "sh", steps=steps)
        found.came_to_its_end(7)
        assert "job control" not in found.seen
    assert mctl("exec", "with", "sh", "-c", "echo $TERM; [ -t 0 ] || echo none").text == "of-the-first\nnone\n"


@pytest.mark.allow_journal(KILLED)
def test_a_commands_terminal_needs_no_service(mctl: Mctl, play: Callable[..., Played]) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "through-exec"])
    steps: list[Step] = [
        (PROMPT, {"shell": f"kill -9 {mctl.service_pid()}"}),
        ("", {"type": "echo after=$((2))\n"}),
        ("after=2", {"type": ""}),
        (PROMPT, {"type": "sleep 1; exit 3\n"}),
    ]
    play("exec", "-it", "through-exec", "sh", steps=steps).came_to_its_end(3)
    mctl.run("true", options=["--rm"])


def test_a_commands_terminal_is_hung_up_with_its_client(mctl: Mctl, play: Callable[..., Played]) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "hangup"])
    steps: list[Step] = [(PROMPT, {"signal": signal.SIGKILL})]
    assert play("exec", "-it", "hangup", "sh", steps=steps).status == -signal.SIGKILL
    left = mctl.shell("for i in $(seq 50); do mctl exec hangup pgrep -x sh || break; sleep 0.1; done")
    assert left.text.count("\n") < 40
    refused = mctl("exec", "-dt", "hangup", "sh", check=False)
    assert refused.returncode == 125
    assert b"a terminal that nobody holds" in refused.stderr


def test_input_that_is_no_terminal_is_refused(mctl: Mctl) -> None:
    result = mctl.run("sh", options=["--rm", "-it"], check=False)
    assert result.returncode == 125
    assert b"the input device is not a TTY" in result.stderr
    result = mctl.run("sh", "-c", "tty; [ -t 1 ]", options=["--rm", "-t"])  # as docker: output only
    assert result.stdout == b"/dev/pts/0\r\n"


def test_a_container_without_terminal(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "none"])
    result = mctl("attach", "none", check=False)
    assert result.returncode == 125
    assert b"its output goes straight to the journal: `mctl logs -f none` shows it" in result.stderr


@pytest.mark.parametrize("verb", ["attach", "start -a"])
def test_joining_a_run_in_the_foreground(mctl: Mctl, verb: str) -> None:
    script = "until [ -e /go ]; do sleep 0.1; done; echo out; echo err >&2; exit 3"
    mctl.shell(f"mctl run --name front {mctl.rootfs} sh -c '{script}' > /tmp/first 2>&1 &")
    mctl.until("mctl ps -q -f name=front -f state=running | grep .")
    join = f"{itself(f'mctl {verb} front')} < /dev/null > /tmp/out 2> /tmp/err; echo $? > /tmp/status"
    mctl.shell(f"({join}) > /dev/null 2>&1 & {ATTACHED.format('pipe', 2)}; mctl exec front touch /go")
    mctl.until("[ -s /tmp/status ]")
    mctl.until("grep err /tmp/first")
    answer = mctl.shell("cat /tmp/status /tmp/out /tmp/err /tmp/first")
    assert answer.text.splitlines() == ["3", "out", "err", "out", "err"]
    mctl.shell("rm /tmp/status /tmp/out /tmp/err /tmp/first /tmp/pid")


@pytest.mark.parametrize("target", ["/dev/pts", "/dev/pts/", "/dev", "/dev/console", "/dev/pts/0", "/dev/ptmx"])
def test_a_volume_over_the_terminals_leads_nowhere(mctl: Mctl, play: Callable[..., Played], target: str) -> None:
    """CVE-2025-52565: where such a volume is not refused, the terminal is there before, and not found by path."""
    mctl.shell(
        "mkdir -p /srv/hostile; cd /srv/hostile; echo untouched > canary; "
        "for n in 0 1 ptmx console; do ln -sf /srv/hostile/canary $n; done"
    )
    source = "/srv/hostile" if target.rstrip("/") in ("/dev", "/dev/pts") else "/srv/hostile/canary"
    found = play("run", "--rm", "-it", "-v", f"{source}:{target}", mctl.rootfs, "sh", "-c", "stty size; exit 3")
    if found.status == 125:
        assert "the container's walls stand on" in found.seen
    else:
        found.came_to_its_end(3)
        assert found.seen == "33 77\r\n"
    assert mctl.shell("cat /srv/hostile/canary; rm -r /srv/hostile").text == "untouched\n"


def test_an_images_own_device_directory_is_not_looked_at(mctl: Mctl, play: Callable[..., Played]) -> None:
    mctl.shell(f"cp -a {mctl.rootfs} /srv/hostile; mkdir /srv/hostile/dev; ln -s /etc /srv/hostile/dev/pts")
    found = play("run", "--rm", "-it", "/srv/hostile", "sh", "-c", "tty; ls /dev/pts")
    found.came_to_its_end()
    assert found.seen.split() == ["/dev/pts/0", "0", "ptmx"]
    mctl.shell("rm -r /srv/hostile")


@pytest.fixture
def python_rootfs(session_machine: Machine) -> str:
    root.make(session_machine)
    return root.ROOT


def test_nothing_can_be_typed_from_inside(mctl: Mctl, play: Callable[..., Played], python_rootfs: str) -> None:
    """TIOCSTI and TIOCLINUX, also where the kernel would drop upper bits (CVE-2017-5226, CVE-2019-10063)."""
    script = (
        "import ctypes, errno; libc = ctypes.CDLL(None, use_errno=True)\n"
        "for command in (0x5412, 0x541c, 1 << 32 | 0x5412):\n"
        "    answer = libc.syscall(16 if __import__('os').uname().machine == 'x86_64' else 29, 0, "
        "ctypes.c_ulong(command), b'x')\n"
        "    print(answer, errno.errorcode.get(ctypes.get_errno()))\n"
    )
    found = play("run", "--rm", "-it", python_rootfs, "/usr/bin/python3", "-c", script)
    found.came_to_its_end()
    assert found.seen.splitlines() == ["-1 EPERM"] * 3


@pytest.mark.usefixtures("alice_may_create")
def test_an_ordinary_user_at_a_terminal(mctl: Mctl, play: Callable[..., Played]) -> None:
    steps = [typed(PROMPT, "id -u\n"), typed("0\r\n", LEAVE)]
    play("run", "--name", "mine", "-it", "/srv/alice", "sh", steps=steps, user="alice").came_to_its_end()
    play("attach", "mine", steps=[typed(PROMPT, "exit 5\n")], user="alice").came_to_its_end(5)


def test_others_may_not_attach(mctl: Mctl, play: Callable[..., Played]) -> None:
    mctl.run("sh", options=["-dt", "--name", "roots"])
    found = play("attach", "roots", user="alice")
    found.came_to_its_end(125)
    assert "there is no container 'roots' of yours" in found.seen
    busctl = "busctl call org.mctl1 /org/mctl1/container/roots org.mctl1.Container Attach t 0"
    refused = mctl.machine.run(["sh", "-c", busctl], user="alice", check=False)
    assert refused.returncode
    assert b"Access denied" in refused.stderr
