# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl can, through the real polkitd: what it says in advance is what the verb then does."""

from __future__ import annotations

import json
import pwd
from typing import TYPE_CHECKING

import pytest

from machine.image import USERS
from mctl.standin import Situation

from .conftest import RELOAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

BOB = pwd.struct_passwd(("bob", "x", dict(USERS)["bob"], dict(USERS)["bob"], "", "/", "/bin/sh"))
TRIED = ("unpause", "start", "pause", "kill", "stop", "rm")
FULFILLED = {("created", "stop"), ("running", "start")}  # na, but whoever types it has what they want


def answers(mctl: Mctl, name: str, user: str | None = None) -> dict[str, str]:
    told = json.loads(mctl("can", "--json=short", name, user=user).stdout)
    return {verb: each["Answer"] for verb, each in told.items()}


def test_each_state_allows_what_it_says(mctl: Mctl) -> None:
    """created, running, paused, running, exited: each verb is foretold, then tried."""
    mctl("create", "--name", "web", mctl.rootfs, "sleep", "1000")
    seen = []
    for step in ("start", "pause", "unpause", "stop"):
        foretold = answers(mctl, "web")
        seen.append(mctl.properties("web")["State"])
        for verb in TRIED:
            if foretold[verb] == "na":
                refused = (seen[-1], verb) not in FULFILLED
                assert mctl(verb, "web", check=False).returncode == int(refused), (step, verb)
        assert foretold[step] == "yes"
        mctl(step, *(["-t", "0"] if step == "stop" else []), "web")
    assert seen == ["created", "running", "paused", "running"]
    last = answers(mctl, "web")
    assert (last["start"], last["rm"], last["stop"], last["pause"]) == ("yes", "yes", "na", "na")


def test_nobody_is_asked_and_nothing_is_told(mctl: Mctl) -> None:
    """bob may not; alone the name tells his two answers apart. As root, who may everything, it is an error."""
    mctl.run("sleep", "1000", options=["-d", "--name", "strange"])
    told = [mctl("can", name, user="bob").text.replace("strange", "missing") for name in ("strange", "missing")]
    assert told[0] == told[1]
    assert {line.split()[1] for line in told[0].splitlines()[1:]} == {"challenge"}
    assert mctl("can", "-q", "strange", "stop", user="bob", check=False).returncode == 1
    assert "no container" in mctl("can", "missing", check=False).stderr.decode()


@pytest.mark.usefixtures("alice_may_create")
def test_ones_own_may_be_managed(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "hers"], rootfs="/srv/alice", user="alice")
    found = answers(mctl, "hers", user="alice")
    assert (found["stop"], found["exec"], found["logs"], found["start"]) == ("yes", "yes", "yes", "na")
    identity = mctl.properties("hers")["Id"][:8]
    assert answers(mctl, identity, user="alice") == found
    call = "busctl --json=short call org.mctl1 /org/mctl1 org.mctl1.Manager Can as 2 CreateContainer Privileged"
    made = mctl.machine.run(["sh", "-c", call], user="alice").text
    told = json.loads(made)["data"][0]
    assert [told["CreateContainer"][0], told["Privileged"][0]] == ["yes", "challenge"]


RULE = """
polkit.addRule(function(action, subject) {
    if (action.id == "org.mctl1.manage" && action.lookup("verb") == "stop" && action.lookup("labels.team") == "web") {
        if (subject.isInGroup("deploy")) return polkit.Result.YES;
        if (subject.user == "alice") return polkit.Result.NO;
        if (subject.user == "bob" && subject.local && subject.active) return polkit.Result.YES;
    }
});
"""
RULE_FILE = "/etc/polkit-1/rules.d/40-mctl-foresight.rules"
# As a display manager does; no machine of the tests has a screen or a virtual terminal.
SESSION = """
systemd-run -q --unit=mctl-test-login --uid=bob --property=PAMName=login --setenv=XDG_SEAT=seat0 \\
    --setenv=XDG_SESSION_TYPE=x11 --setenv=XDG_SESSION_CLASS=user sleep 1000
for i in $(seq 300); do [ "$(loginctl show-user bob -P State 2>/dev/null)" = active ] && break; sleep 0.1; done
"""


@pytest.fixture
def rule(mctl: Mctl) -> Iterator[Mctl]:
    """A group deploy with carol in it, who is no user of any test else, and a rule by group, user, label and place."""
    mctl.shell("groupadd deploy; useradd -M -G deploy carol")
    mctl.machine.run(["sh", "-c", f"cat > {RULE_FILE}; {RELOAD}"], input=RULE.encode())
    yield mctl
    mctl.shell(f"rm {RULE_FILE}; {RELOAD}; userdel carol; groupdel deploy")


def test_the_rules_are_asked_for_others(rule: Mctl) -> None:
    """Four users, four reasons, and each is what the user then meets."""
    rule.run("sleep", "1000", options=["-d", "--name", "web", "--label", "team=web"])
    told = json.loads(rule("who-can", "--json=short", "stop", "web").stdout)
    found = {each["User"]: (each["Answer"], each["Action"]) for each in told if not each["Session"]}
    manage = "org.mctl1.manage"
    assert found["root"] == ("yes", "")
    assert found["carol"] == ("yes", manage)
    assert found["alice"] == ("no", manage)
    assert found["bob"] == ("challenge", manage)
    listed = rule("who-can", "-u", "carol", "-u", "alice", "start", "web").text
    assert [line.split()[:2] for line in listed.splitlines()[1:3]] == [["carol", "challenge"], ["alice", "challenge"]]
    why = rule("why-not", "alice", "stop", "web", check=False)
    assert why.returncode == 1
    assert "alice may not stop web" in why.text
    assert "web belongs to root" in why.text
    assert f"decides is {manage} " in why.text
    assert (
        "auth_admin elsewhere, auth_admin in a session at this host that is not in front, auth_admin_keep" in why.text
    )
    assert "not known: what rules would say at this host, since alice is not in a session there now" in why.text
    assert rule("stop", "-t", "0", "web", user="alice", check=False).returncode == 1
    assert rule("why-not", "carol", "stop", "web").returncode == 0
    rule("stop", "-t", "0", "web", user="carol")


def test_a_user_who_sits_here_is_asked_for_here_too(rule: Mctl) -> None:
    rule.run("sleep", "1000", options=["-d", "--name", "web", "--label", "team=web"])
    rule.shell(SESSION)
    try:
        told = json.loads(rule("why-not", "--json=short", "bob", "stop", "web").stdout)
        assert [(bool(each["Session"]), each["Answer"]) for each in told] == [(False, "challenge"), (True, "yes")]
    finally:
        rule.shell("systemctl stop mctl-test-login; loginctl terminate-user bob; true")


@pytest.mark.parametrize("guarded", [True, False])
def test_who_is_asked_for_cannot_change_the_answer(mctl: Mctl, *, guarded: bool) -> None:
    """ptrace(2): bob may look into processes of his own, but not into the one that asks for him. Without what guards
    it he may, or this would show nothing. As a stand-in for its busctl(1), which is gone at once, one that sleeps.
    """
    command = Situation(BOB).command("/org/mctl1", "Stop")
    start = [word for word in command[: command.index("busctl")] if word not in ("--pipe", "--wait")]
    if not guarded:
        start.remove("--property=AmbientCapabilities=CAP_BLOCK_SUSPEND")
    mctl.machine.run([*start, "--unit=mctl-test-asks", "--service-type=exec", "sleep", "1000"])
    try:
        pid = mctl.shell("systemctl show -P MainPID mctl-test-asks.service").text.strip()
        looked = mctl.machine.run(["readlink", f"/proc/{pid}/fd/1"], user="bob", check=False)
        wrote = mctl.machine.run(["sh", "-c", f": >> /proc/{pid}/mem"], user="bob", check=False)
        assert [looked.returncode == 0, wrote.returncode == 0] == [not guarded] * 2
    finally:
        mctl.shell("systemctl stop mctl-test-asks.service")


def test_only_root_asks_for_others(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "strange"])
    result = mctl("why-not", "--no-ask-password", "alice", "stop", "strange", user="bob", check=False)
    assert result.returncode == 1
    assert "seeing other users' containers needs authorization" in result.stderr.decode()
