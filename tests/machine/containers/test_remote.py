# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl -H with a real sshd: streams, statuses, terminals and files of another host, a password, and what goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import RELOAD, RULE_FILE
from .test_terminal import PROMPT, RESIZED, Step, play, typed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Mctl
    from .test_terminal import Played

__all__ = ["play"]

ALICE = ("-H", "alice@localhost")
SETUP = """
set -e
mkdir -p /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
printf 'Host *\\nStrictHostKeyChecking no\\nUserKnownHostsFile /dev/null\\nLogLevel ERROR\\n' > /root/.ssh/config
install -d -o alice -g alice -m 700 /home/alice/.ssh
install -o alice -g alice -m 600 /root/.ssh/id_ed25519.pub /home/alice/.ssh/authorized_keys
echo alice:open-sesame | chpasswd
systemctl start ssh.service
"""
# The service of a user who has left ends in its own time, after the last session.
TEARDOWN = """
systemctl stop ssh.service
rm -rf /root/.ssh /home/alice/.ssh
passwd -q -d alice
loginctl terminate-user alice 2>/dev/null
for i in $(seq 300); do systemctl is-active -q user@1000.service user-runtime-dir@1000.service || break; sleep 0.1; done
"""
OWN_PASSWORD = """
polkit.addRule(function(action, subject) {
    if (action.id == "org.mctl1.create" && subject.user == "alice") return polkit.Result.AUTH_SELF;
});
"""


@pytest.fixture
def sshd(mctl: Mctl) -> Iterator[Mctl]:
    mctl.shell(SETUP)
    yield mctl
    mctl.shell(TEARDOWN)


@pytest.mark.usefixtures("alice_may_create")
def test_all_of_it_on_another_host(sshd: Mctl, play: Callable[..., Played]) -> None:
    made = sshd(*ALICE, "run", "-d", "--name", "far", "/srv/alice", "sh", "-c", "echo out; echo err >&2; sleep 1000")
    assert len(made.text.strip()) == 32
    assert sshd(*ALICE, "ps", "--format", "{{.Name}} {{.Owner}}").text == "far alice\n"
    assert sorted(sshd(*ALICE, "logs", "far").text.split()) == ["err", "out"]
    words = ["sh", "-c", 'printf "<%s>" "$@"; cat >&2; exit 7', "sh", "a  b", "", "'", "$HOME", "*"]
    done = sshd(*ALICE, "exec", "-i", "far", *words, stdin=b"\0\xff typed", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"<a  b><><'><$HOME><*>", b"\0\xff typed")
    packed = sshd.machine.run(["tar", "-C", "/etc", "-c", "hostname"]).stdout
    sshd(*ALICE, "cp", "-", "far:/tmp", stdin=packed)
    assert sshd(*ALICE, "exec", "far", "cat", "/tmp/hostname").text == sshd.machine.read("/etc/hostname").decode()
    steps = [
        typed(PROMPT, "tty; stty size\n"),
        ("/dev/pts/0\r\n33 77\r\n", {"resize": [50, 132]}),
        typed(PROMPT, f"{RESIZED}; stty size; echo ready; cat\n"),
        ("50 132\r\nready\r\n", {"shell": "until pgrep -fx cat > /dev/null; do sleep 0.1; done", "type": "\x03"}),
        typed(PROMPT, "exit 9\n"),
    ]
    found = play(*ALICE, "exec", "-it", "far", "sh", steps=steps)
    assert (found.missed, found.status) == (None, 9), found.seen
    assert sshd(*ALICE, "rm", "-f", "far").text == "far\n"


def test_what_goes_wrong_names_the_host(sshd: Mctl) -> None:
    unknown = sshd("-H", "no-such-host.invalid", "ps", check=False)
    assert (unknown.returncode, b"no-such-host.invalid" in unknown.stderr) == (255, True)
    port = sshd("-H", "alice@localhost:22", "ps", check=False)
    assert (port.returncode, b"give ssh://alice@localhost:22" in port.stderr) == (125, True)
    assert sshd("-H", "ssh://alice@localhost:22", "ps", "-q").text == ""
    refused = sshd(*ALICE, "exec", "nobodys", "true", check=False)
    assert (refused.returncode, b"there is no container 'nobodys' of yours" in refused.stderr) == (125, True)
    elsewhere = "mkdir /tmp/without; ln -s /bin/sh /usr/bin/uname /tmp/without; echo PATH=/tmp/without"
    sshd.shell(f"cp -a /etc/environment /etc/environment.kept; {{ {elsewhere}; }} > /etc/environment")
    try:
        lacking = sshd(*ALICE, "ps", check=False)
    finally:
        sshd.shell("mv /etc/environment.kept /etc/environment; rm -r /tmp/without")
    told = f"mctl: there is no mctl on {sshd.shell('uname -n').text.strip()}, or not in PATH: install it there\n"
    assert (lacking.returncode, lacking.stderr.decode()) == (125, told)


@pytest.fixture
def own_password(mctl: Mctl) -> Iterator[None]:
    mctl.machine.run(["sh", "-c", f"cat > {RULE_FILE}; {RELOAD}"], input=OWN_PASSWORD.encode())
    yield
    mctl.shell(f"rm {RULE_FILE}; {RELOAD}")


def slowly(text: str) -> Step:
    """pkttyagent throws away what is typed before it has switched the echo off, which it does after the prompt."""
    return ("Password: ", {"shell": "sleep 2", "type": text})


@pytest.mark.usefixtures("own_password")
def test_a_password_is_asked_for_over_ssh(sshd: Mctl, play: Callable[..., Played]) -> None:
    """By pkttyagent(1), on the terminal that ssh has made; a wrong one lets nothing begin, and bob has none to give."""
    asked = "AUTHENTICATING FOR org.mctl1.create"
    words = (*ALICE, "run", "--rm", "-it", "/srv/alice", "sh", "-c", "id -u; exit 5")
    steps: list[Step] = [typed(asked, ""), slowly("open-sesame\n"), typed("AUTHENTICATION COMPLETE", "")]
    found = play(*words, steps=steps)
    assert (found.missed, found.status) == (None, 5), found.seen
    assert "open-sesame" not in found.seen
    steps = [typed(asked, ""), slowly("sesame\n"), typed("AUTHENTICATION FAILED", "")]
    found = play(*words, steps=steps)
    assert (found.missed, found.status) == (None, 125), found.seen
    assert "not allowed" in found.seen
    silent = sshd(*ALICE, "--no-ask-password", "run", "--rm", "/srv/alice", "true", check=False)
    assert (silent.returncode, b"this needs a password" in silent.stderr) == (125, True)
    assert sshd(*ALICE, "ps", "-a", "-q").text == ""
