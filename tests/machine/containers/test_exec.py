# SPDX-License-Identifier: GPL-3.0-or-later
"""One more command in a container that runs: where it is, what binds it, how it ends, what it leaves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from machine.containers.test_recovery import KILLED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.guest import Machine, Result

    from .conftest import Mctl

ALICE = "/srv/alice"
WALLS: tuple[tuple[str, ...], ...] = (
    (), ("-u", "7:8"), ("--cap-drop", "ALL"), ("--cap-add", "NET_ADMIN"), ("--security-opt", "strict"),
)  # fmt: skip
CALL = "busctl --no-pager --allow-interactive-authorization=no call org.mctl1"


class Web:
    """A container that sleeps, called web."""

    def __init__(self, mctl: Mctl) -> None:
        self.mctl = mctl
        mctl.run("sleep", "100000", options=["-d", "--name", "web"])

    def __call__(self, *command: str, options: tuple[str, ...] = (), **how: Any) -> Result:
        return self.mctl("exec", *options, "web", *command, **how)

    def detached(self, *command: str) -> str:
        """The id."""
        return self("sh", "-c", *command, options=("-d",)).text.strip()

    def of(self, identity: str, name: str) -> str:
        return value(self.mctl, identity, name)

    def wait(self, identity: str) -> list[str]:
        answer = self.mctl.shell(f"{CALL} /org/mctl1/exec/{identity} org.mctl1.Exec Wait").text
        return answer.replace('"', "").split()[1:]


def value(mctl: Mctl, identity: str, name: str) -> str:
    """A property of an exec, as busctl prints it."""
    path = f"/org/mctl1/exec/{identity}"
    found = mctl.shell(f"busctl get-property org.mctl1 {path} org.mctl1.Exec {name}").text
    return found.split(maxsplit=1)[1].strip().strip('"')


@pytest.fixture
def web(mctl: Mctl) -> Iterator[Web]:
    """Whatever a test leaves executing ends with the container."""
    made = Web(mctl)
    yield made
    mctl("rm", "-f", "web", check=False)


def test_the_exit_status_is_the_commands(web: Web) -> None:
    for status in (0, 1, 7, 125, 126, 127, 255):
        result = web("sh", "-c", f"exit {status}", check=False)
        assert (result.returncode, result.stdout, result.stderr) == (status, b"", b"")
    assert web("sh", "-c", "kill -9 $$", check=False).returncode == 128 + 9


def test_what_cannot_be_executed(web: Web) -> None:
    web("sh", "-c", "echo text > /tmp/plain")
    for command, status in (
        ("nope", 127),
        ("/no/such", 127),
        ("/tmp/plain", 126),
        ("/tmp", 126),
        ("/proc/self/exe", 126),
    ):
        result = web(command, check=False)
        assert result.returncode == status, command
        assert command in result.stderr.decode()
    assert web("true", options=("-w", "/proc/self/fd/0"), check=False).returncode == 125


def test_a_mebibyte_goes_in_and_out_as_it_is(web: Web) -> None:
    data = bytes(range(256)) * 4096
    assert web("cat", options=("-i",), stdin=data).stdout == data
    assert web("cat", stdin=data).stdout == b""
    result = web("sh", "-c", "printf 'a\\000\\377\\r\\nb'; printf 'x\\n' >&2; echo y > /dev/stdout")
    assert (result.stdout, result.stderr) == (b"a\0\xff\r\nby\n", b"x\n")


def test_it_is_in_the_scope_from_its_birth(web: Web) -> None:
    assert web("cat", "/proc/self/cgroup").text.splitlines()[-1] == "0::/"
    identity = web.detached("sleep 1000")
    group = web.mctl.properties("web")["ControlGroup"]
    members = web.mctl.shell(f"cat /sys/fs/cgroup{group}/cgroup.procs").text.split()
    assert sorted(members) == sorted([web.of(identity, "PID"), str(web.mctl.properties("web")["MainPID"])])
    web.mctl.shell(f"{CALL} /org/mctl1/exec/{identity} org.mctl1.Exec Kill it 9 0")
    assert web.wait(identity) == ["killed", "9"]
    assert web.of(identity, "State") == "exited"


@pytest.fixture(scope="module")
def filters(session_machine: Machine, rootfs: str) -> None:
    """A system call filter stays, once compiled: that is no leak."""
    for options in WALLS:
        session_machine.run(["mctl", "run", "--rm", *options, rootfs, "true"])


@pytest.mark.usefixtures("filters")
@pytest.mark.parametrize("options", WALLS, ids=" ".join)
def test_it_is_bound_as_the_first_process_is(mctl: Mctl, options: tuple[str, ...]) -> None:
    kinds = "for k in cgroup ipc mnt net pid user uts; do readlink /proc/$p/ns/$k; done"
    status = "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Umask)' /proc/$p/status"
    rest = "cat /proc/$p/oom_score_adj /proc/$p/limits; ls -l /proc/$p/root /proc/$p/cwd | sed 's/.*->//'"
    script = f"of() {{ p=$1; {kinds}; {status}; {rest}; }}; of $$"
    first = f"{script}; echo END; exec sleep 100000"
    mctl.run("sh", "-c", first, options=["-d", "--name", "web", "--ulimit", "nofile=77:99", *options])
    deadline = time.monotonic() + 10
    while "END" not in (expected := mctl("logs", "web").text):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    found = [line.rstrip() for line in mctl("exec", "web", "sh", "-c", script).text.splitlines()]
    assert [*found, "END"] == [line.rstrip() for line in expected.splitlines()]
    assert len(found) > 35
    mctl("rm", "-f", "web")


def test_user_directory_and_environment_are_the_containers_unless_given(mctl: Mctl) -> None:
    options = ["-d", "--name", "web", "-u", "7:8", "-w", "/tmp", "-e", "A=1", "-e", "B=1"]
    mctl.run("sleep", "100000", options=options)
    script = "id -u; id -g; pwd; echo $A $B $C"
    assert mctl("exec", "web", "sh", "-c", script).text.split() == ["7", "8", "/tmp", "1", "1"]
    given = ["-u", "9", "-w", "/bin", "-e", "B=2", "-e", "C=3"]
    assert mctl("exec", *given, "web", "sh", "-c", script).text.split() == ["9", "0", "/bin", "1", "2", "3"]
    mctl("rm", "-f", "web")


def test_attached_output_is_the_callers_and_detached_the_journals(web: Web) -> None:
    web("echo", "to the caller")
    identity = web.detached("echo to the journal; echo loud >&2")
    assert web.wait(identity) == ["exited", "0"]
    entries = web.mctl.journal(f"CONTAINER_ID={web.mctl.properties('web')['Id']}")
    assert [(e["MESSAGE"], e["PRIORITY"]) for e in entries] == [("to the journal", "6"), ("loud", "5")]
    assert {e["_SYSTEMD_UNIT"] for e in entries} == {"mctl-web.scope"}


def test_nothing_inherited_and_nothing_held(web: Web) -> None:
    script = "ls /proc/self/fd | wc -l; env | sort; echo $PPID; cat /proc/self/oom_score_adj"
    lines = web("sh", "-c", script).text.splitlines()
    assert lines[0] == "4"  # 0, 1, 2 and the directory that ls reads
    assert {line.partition("=")[0] for line in lines[1:-2]} == {"HOME", "PATH", "PWD", "SHLVL", "container"}
    assert lines[-2:] == ["0", "0"]


@pytest.mark.usefixtures("alice_may_create")
def test_into_others_containers_nobody_goes_and_nobody_learns_of_them(mctl: Mctl) -> None:
    mctl.run("sleep", "100000", options=["-d", "--name", "hers"], rootfs=ALICE, user="alice")
    assert mctl("exec", "hers", "id", "-u", user="alice").text == "0\n"
    identity = mctl("exec", "-d", "hers", "sleep", "1000", user="alice").text.strip()
    answers = [mctl("exec", name, "id", user="bob", check=False) for name in ("hers", "none")]
    assert {a.returncode for a in answers} == {125}
    assert answers[0].stderr == answers[1].stderr.replace(b"none", b"hers")
    assert b"org.mctl1.exec" in answers[0].stderr
    for member in ("Wait", "Kill it 9 0"):
        texts = [
            mctl.shell(
                f"runuser -u bob -- {CALL} /org/mctl1/exec/{i} org.mctl1.Exec {member} 2>&1", check=False
            ).text.replace(i, "ID")
            for i in (identity, "f" * 16)
        ]
        assert texts[0] == texts[1]
        assert "there is no exec" in texts[0]
    assert identity not in mctl.shell("runuser -u bob -- busctl tree org.mctl1").text
    assert identity in mctl.shell("runuser -u alice -- busctl tree org.mctl1").text
    assert mctl("exec", "hers", "ps", user="alice").text.count("sleep 1000\n") == 1
    mctl("rm", "-f", "hers", user="alice")


@pytest.mark.usefixtures("alice_may_create")
def test_what_runs_as_alice_is_hers_alone(mctl: Mctl) -> None:
    """Root executes in her container: the process is of the container's ids all the same."""
    mctl.run("sleep", "100000", options=["-d", "--name", "hers"], rootfs=ALICE, user="alice")
    identity = mctl("exec", "-d", "hers", "sleep", "1000").text.strip()
    owner = int(mctl.shell(f"stat -c %u /proc/{value(mctl, identity, 'PID')}").text)
    assert owner == mctl.properties("hers")["UIDShift"]
    mctl("rm", "-f", "hers")


def test_where_nothing_runs(mctl: Mctl) -> None:
    mctl("create", "--name", "idle", mctl.rootfs, "true")
    for name, words in (("idle", "container 'idle' is not running: it is created"), ("none", "no container 'none'")):
        result = mctl("exec", name, "true", check=False)
        assert result.returncode == 125
        assert words in result.stderr.decode()
    mctl("start", "idle")
    mctl.shell(f"{CALL} /org/mctl1 org.mctl1.Manager WaitContainer s idle")
    assert "it is exited" in mctl("exec", "idle", "true", check=False).stderr.decode()


def test_in_containers_that_end_just_now(mctl: Mctl) -> None:
    """Whatever the moment: an end, or a sentence that says so."""
    for number in range(12):
        name = f"brief-{number}"
        mctl.run("sleep", f"0.{number:02}", options=["-d", "--name", name])
        result = mctl("exec", name, "sleep", "5", check=False)
        assert result.returncode in (125, 137), result.describe()
        if result.returncode == 125:
            assert "ended" in result.stderr.decode() or "is not running" in result.stderr.decode(), result.describe()


def test_it_ends_with_the_container(web: Web) -> None:
    for end in ("stop -t 0", "rm -f"):
        begun = "until pgrep -fx 'sleep 1234'; do sleep 0.1; done"
        script = f"mctl exec web sleep 1234 & {begun}; mctl {end} web; wait $!; echo $?"
        assert web.mctl.shell(script).text.splitlines()[-1] == "137"
        if end != "rm -f":
            web.mctl("start", "web")


def test_signals_are_passed_on(web: Web) -> None:
    trap = "trap 'echo got; exit 5' TERM; echo up; while :; do sleep 0.1; done"
    up = "until grep -q up /tmp/out; do sleep 0.1; done"
    script = f': > /tmp/out; mctl exec web sh -c "{trap}" > /tmp/out & {up}; kill -TERM $!; wait $!; echo $?'
    assert web.mctl.shell(script).text == "5\n"
    assert web.mctl.shell("cat /tmp/out; rm /tmp/out").text.split() == ["up", "got"]


def test_in_a_frozen_container_it_says_so_and_holds_up_nobody(web: Web) -> None:
    web.mctl.shell("systemctl freeze mctl-web.scope")
    try:
        result = web("true", check=False)
        assert (result.returncode, "is paused" in result.stderr.decode()) == (125, True)
    finally:
        web.mctl.shell("systemctl thaw mctl-web.scope")
    web("true")


def test_one_that_is_frozen_at_birth_goes_on_when_thawed(web: Web) -> None:
    """It freezes and thaws all the time, so also between the service's look at it and the child's first instruction."""
    group = f"/sys/fs/cgroup{web.mctl.properties('web')['ControlGroup']}"
    loop = f"for i in $(seq 400); do echo 1 > {group}/cgroup.freeze; echo 0 > {group}/cgroup.freeze; done"
    script = f"({loop}) & for i in $(seq 20); do timeout 20 mctl exec web true 2>/dev/null; echo $?; done; wait"
    assert set(web.mctl.shell(script, timeout=120).text.split()) <= {"0", "125"}
    web("true")


def test_a_hundred_leave_nothing_behind(web: Web) -> None:
    script = "for i in $(seq 100); do mctl exec web sh -c 'exit 3' & [ $((i % 10)) = 0 ] && wait; done; wait; echo done"
    assert web.mctl.shell(script, timeout=120).text == "done\n"
    spawner = web.mctl.shell("systemctl show -P MainPID mctl-spawner.service").text.strip()
    children = web.mctl.shell(f"ps -o pid= --ppid {spawner}").text.split()
    assert children == [str(web.mctl.properties("web")["MainPID"])]
    assert len(web("ps").text.splitlines()) == 3  # a heading, sleep, and ps itself


def test_there_is_a_most(web: Web) -> None:
    script = "for i in $(seq 64); do mctl exec -d web sleep 1000 >/dev/null || echo failed; done"
    assert web.mctl.shell(script, timeout=120).text == ""
    result = web("true", check=False)
    assert (result.returncode, "64 commands" in result.stderr.decode()) == (125, True)


@pytest.mark.allow_journal(KILLED)
def test_the_service_may_die_meanwhile(web: Web) -> None:
    """Neither output nor status is lost, and what was started before is found again."""
    words = ["mctl", "exec", "web", "sh", "-c", "for i in $(seq 30); do echo $i; sleep 0.1; done; exit 7"]
    detached = web.detached("sleep 2; exit 9")
    before = {name: web.of(detached, name) for name in ("PID", "Command", "User", "Container", "State")}
    reader = f"{' '.join(words[:5])} '{words[5]}' > /tmp/out; echo $? >> /tmp/out"
    up = "until [ -s /tmp/out ]; do sleep 0.1; done"
    web.mctl.shell(f"({reader}) >/dev/null 2>&1 & {up}; kill -9 {web.mctl.service_pid()}; wait", timeout=120)
    assert web.mctl.shell("cat /tmp/out; rm /tmp/out").text.split() == [*map(str, range(1, 31)), "7"]
    assert web.wait(detached) == ["exited", "9"]
    assert web.of(detached, "Command") == before["Command"]


@pytest.mark.allow_journal(KILLED)
def test_what_runs_is_found_again_and_what_has_ended_is_remembered(web: Web) -> None:
    ended, runs = web.detached("exit 4"), web.detached("sleep 1000")
    assert web.wait(ended) == ["exited", "4"]
    names = ("PID", "Command", "User", "Container", "State")
    before = [web.of(runs, name) for name in names]
    web.mctl.kill_service()
    assert web.wait(ended) == ["exited", "4"]
    assert [web.of(runs, name) for name in names] == before
    web.mctl("rm", "-f", "web")
    assert web.wait(runs) == ["killed", "9"]


@pytest.mark.allow_journal(KILLED)
def test_a_container_needs_no_service_to_end_after_its_execs(web: Web) -> None:
    """The kernel keeps a PID namespace until its last zombie is reaped: the spawner must not wait for mctld."""
    pid = web.mctl.properties("web")["MainPID"]
    web.detached("sleep 0.5")
    web.mctl.shell(
        f"systemctl stop mctld.service; sleep 1; kill -9 {pid}; "
        f"for i in $(seq 300); do grep -q ^State:.Z /proc/{pid}/status && exit 0; sleep 0.1; done; exit 1"
    )
    assert web.mctl.properties("web")["ExitHow"] == "killed"


@pytest.mark.qemu
def test_it_counts_for_the_limits(mctl: Mctl) -> None:
    mctl.run("sleep", "100000", options=["-d", "--name", "tight", "--pids", "3"])
    mctl("exec", "-d", "tight", "sleep", "1000")
    mctl("exec", "-d", "tight", "sleep", "1000")
    result = mctl("exec", "tight", "true", check=False)
    assert (result.returncode, "Resource temporarily unavailable" in result.stderr.decode()) == (125, True)
    mctl("rm", "-f", "tight")
    mctl.run("sleep", "100000", options=["-d", "--name", "tight", "-m", "32m"])
    assert mctl("exec", "tight", "sh", "-c", "x=$(yes)", check=False, timeout=120).returncode == 137
    assert mctl.properties("tight")["State"] == "running"
    mctl("rm", "-f", "tight")


def test_a_hundred_megabytes_go_in_and_out_as_they_are(web: Web) -> None:
    """Through pipes; what run prints would all be in the journal too, so of that only the way in."""
    make = "head -c 104857600 /dev/urandom > /srv/much; sha256sum < /srv/much"
    digest = web.mctl.shell(make, timeout=120).text
    for command in ("mctl exec -i web cat | sha256sum", f"mctl run -i --rm {web.mctl.rootfs} sha256sum"):
        assert web.mctl.shell(f"cat /srv/much | {command}", timeout=300).text == digest, command
    web.mctl.shell("rm /srv/much")
