# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what, through the real polkitd."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .test_terminal import PLAYER, PROMPT

if TYPE_CHECKING:
    from .conftest import Mctl

ALICE = "/srv/alice"
VERBS = (("stop",), ("start",), ("kill",), ("rm",), ("inspect",), ("logs",))
# As a display manager opens it: a session at this host, and in front as soon as logind says so.
SEATED = (
    "systemd-run", "-q", "--collect", "--wait", "--pipe", "--uid=alice", "--property=PAMName=login",
    "--setenv=XDG_SEAT=seat0", "--setenv=XDG_SESSION_TYPE=x11", "--setenv=XDG_SESSION_CLASS=user", "sh", "-c",
    """for i in $(seq 600); do
        [ "$(loginctl show-session "$XDG_SESSION_ID" -P Active)" = yes ] && exec "$@"
        sleep 0.1
    done""", "sh",
)  # fmt: skip


def test_who_sits_at_the_host_needs_neither_rule_nor_group_nor_password(mctl: Mctl) -> None:
    """A shell in a terminal, by polkit's defaults alone; and what is more than that is asked for."""
    typed = [[PROMPT, {"type": "tty; id -u; exit 7\n"}], ["/dev/pts/0\r\n0\r\n", {}]]
    run = {"argv": ["mctl", "run", "--rm", "-it", ALICE, "sh"], "size": [33, 77], "steps": typed}
    try:
        played = mctl.machine.run([*SEATED, "python3", "-c", PLAYER, json.dumps(run)], timeout=150)
        told = json.loads(played.stdout)
        assert (told["missed"], told["status"]) == (None, 7), told["seen"]
        assert "assword" not in told["seen"]
        privileged = ("mctl", "run", "--no-ask-password", "--rm", "-p", "80:80", ALICE, "true")
        refused = mctl.machine.run([*SEATED, *privileged], check=False, timeout=150)
        assert refused.returncode == 125
        assert "the host's port 80:80/tcp (org.mctl1.create-privileged)" in refused.stderr.decode()
    finally:
        mctl.shell("loginctl terminate-user alice; true")


def test_without_a_rule_a_remote_user_is_refused(mctl: Mctl) -> None:
    result = mctl.run("true", options=["--rm"], rootfs=ALICE, user="alice", check=False)
    assert result.returncode == 125
    assert "org.mctl1.create" in result.stderr.decode()
    assert mctl("ps", "-a", "-q").text == ""


def test_the_standard_error_says_that_a_password_would_help(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "roots"])
    call = "busctl --allow-interactive-authorization=no call"
    stop = "org.mctl1 /org/mctl1/container/roots org.mctl1.Container Stop a{sv}t 0 0"
    wanted = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
    mctl.shell("timeout 120 dbus-monitor --system \"type='error'\" > /tmp/errors 2>&1 & echo $! > /tmp/monitor")
    # Until it listens nothing is heard.
    mctl.until(f"runuser -u alice -- {call} {stop}; sleep 0.2; grep -q {wanted} /tmp/errors")
    mctl.shell("kill $(cat /tmp/monitor); rm /tmp/monitor /tmp/errors")


@pytest.mark.usefixtures("alice_may_create")
def test_what_polkit_allows_works(mctl: Mctl) -> None:
    options = ["-d", "--name", "hers"]
    mctl.run("sh", "-c", "echo mine; sleep 1000", options=options, rootfs=ALICE, user="alice")
    assert mctl("ps", "-q", user="alice").text.strip()
    assert mctl("logs", "hers", user="alice").text == "mine\n"
    found = mctl.properties("hers")
    assert (found["OwnerUID"], found["Slice"]) == (1000, "mctl-u1000.slice")
    mctl("stop", "-t", "0", "hers", user="alice")
    mctl("rm", "hers", user="alice")


@pytest.mark.usefixtures("alice_may_create")
def test_ones_own_go_by_their_ids_too(mctl: Mctl) -> None:
    """Also for whom an id that is none looks like the name of somebody else's."""
    made = mctl.run("sleep", "1000", options=["-d"], rootfs=ALICE, user="alice").text.strip()
    assert mctl("exec", made[:12], "echo", "inside", user="alice").text == "inside\n"
    mctl("stop", "-t", "0", made[:4], user="alice")
    assert mctl("rm", made, user="alice").text == f"{made}\n"
    assert mctl("rm", "--no-ask-password", made, user="alice", check=False).returncode == 1


@pytest.mark.usefixtures("alice_may_create")
def test_her_files_are_roots_inside_and_no_others_are(mctl: Mctl) -> None:
    mctl.shell(f"cd {ALICE}; echo secret > roots; chmod 600 roots; echo hers > hers; chown alice hers")
    script = "stat -c %u /hers /roots; cat /hers; cat /roots"
    result = mctl.run("sh", "-c", script, options=["--rm"], rootfs=ALICE, user="alice", check=False)
    assert result.text.split() == ["0", "65534", "hers"]
    assert result.returncode != 0
    mctl.shell(f"rm {ALICE}/roots {ALICE}/hers")


@pytest.mark.usefixtures("alice_may_create")
@pytest.mark.parametrize("directory", ["/", "/srv/root", "/etc"])
def test_directories_of_others_need_more(mctl: Mctl, directory: str) -> None:
    result = mctl.run("cat", "/etc/shadow", options=["--rm"], rootfs=directory, user="alice", check=False)
    assert result.returncode == 125
    assert "org.mctl1.create-privileged" in result.stderr.decode()


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_nothing_tells_a_strange_container_from_none(mctl: Mctl, verb: tuple[str, ...]) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "strange"])
    answers = [mctl(*verb, name, user="bob", check=False) for name in ("strange", "missing")]
    texts = [a.stderr.decode().replace("strange", "NAME").replace("missing", "NAME") for a in answers]
    assert texts[0] == texts[1]
    assert "org.mctl1." in texts[0]
    assert {a.returncode for a in answers} == {1}
    assert mctl.properties("strange")["State"] == "running"


def test_lists_hold_only_ones_own(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "roots"])
    assert mctl("ps", "-a", "-q", user="bob").text == ""
    managed = ["gdbus", "call", "--system", "-d", "org.mctl1", "-o", "/org/mctl1",
               "-m", "org.freedesktop.DBus.ObjectManager.GetManagedObjects"]  # fmt: skip
    assert "roots" not in mctl.machine.run(managed, user="bob").text
    assert "roots" in mctl.machine.run(managed).text
    assert "roots" not in mctl.shell("runuser -u bob -- busctl tree org.mctl1").text


@pytest.mark.allow_journal(r"polkit")
def test_without_polkit_only_root_may(mctl: Mctl) -> None:
    mctl.shell("systemctl stop polkit.service; systemctl mask --runtime polkit.service")
    try:
        mctl.run("true", options=["--rm"])
        result = mctl.run("true", options=["--rm"], rootfs=ALICE, user="alice", check=False)
        assert result.returncode == 125
        assert "polkit" in result.stderr.decode()
    finally:
        mctl.shell("systemctl unmask --runtime polkit.service")
