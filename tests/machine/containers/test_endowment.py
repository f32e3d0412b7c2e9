# SPDX-License-Identifier: GPL-3.0-or-later
"""What mctl@NAME.service gives to its container: credentials and sockets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Mctl

pytestmark = pytest.mark.nspawn

PAGE = Path(__file__).parents[3] / "packaging" / "man" / "mctl@.service.5"
BLOCK = re.compile(r"^\.RS\n(.*?)^\.RE$", re.MULTILINE | re.DOTALL)
UNITS = "/etc/systemd/system"
SECRET = "correct-horse-battery"
CREDENTIALS = """
[Service]
SetCredential=greeting:hello there
LoadCredential=key:/root/key
"""
SOCKET = """
[Socket]
ListenDatagram=/run/greeter.sock
ListenStream=127.0.0.1:8123
FileDescriptorName=greeter
RemoveOnStop=yes
"""
LOOK = """
cd $CREDENTIALS_DIRECTORY && for file in *; do echo "$file $(stat -c '%a %u' $file) $(cat $file)"; done
echo "$PWD $(stat -c '%a %u' .)"
echo more 2>/dev/null > other || echo refused; chmod 600 key 2>/dev/null || echo refused
exec sleep 1000
"""
ANSWER = """
echo "$LISTEN_FDS $LISTEN_PID $$ $LISTEN_FDNAMES"
echo $(for number in 3 4 5; do [ -S /proc/self/fd/$number ] && echo $number; done)
dd bs=100 count=1 <&3 2>/dev/null; echo
"""
SEND = "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'wake up', '/run/greeter.sock')"


@pytest.fixture
def unit_files(mctl: Mctl) -> Iterator[Callable[[str, str], None]]:
    """Writes such files below PID 1's directory, which are gone afterwards, and empty directories with them."""
    written: list[str] = []

    def write(name: str, text: str) -> None:
        mctl.machine.write(f"{UNITS}/{name}", text)
        written.append(f"{UNITS}/{name}")
        mctl.shell("systemctl daemon-reload")

    yield write
    mctl("rm", "-f", *mctl("ps", "-a", "-q").text.split())
    mctl.shell("systemctl stop 'mctl@*.socket'")
    mctl.shell(f"rm {' '.join(written)}; find {UNITS} -name 'mctl@*.d' -empty -delete; systemctl daemon-reload")


def lines(mctl: Mctl, name: str, count: int) -> list[str]:
    look = f"until [ $(mctl logs {name} | wc -l) -ge {count} ]; do sleep 0.1; done; mctl logs {name}"
    return mctl.shell(look, timeout=20).text.splitlines()


@pytest.mark.allow_journal(r"mctl@.*")
def test_credentials_of_the_unit_reach_the_payload_and_nobody_else(
    mctl: Mctl, unit_files: Callable[[str, str], None]
) -> None:
    mctl.shell(f"printf {SECRET} > /root/key; chmod 600 /root/key")
    unit_files("mctl@vault.service.d/credentials.conf", CREDENTIALS)
    mctl("create", "--name", "vault", "--network", "none", "--user", "1000:1000", mctl.rootfs, "sh", "-c", LOOK)
    mctl.shell("systemctl start mctl@vault; rm /root/key")
    assert lines(mctl, "vault", 5) == [
        "greeting 400 1000 hello there", f"key 400 1000 {SECRET}", "/run/host/credentials 500 1000",
        "refused", "refused",
    ]  # fmt: skip
    pid = mctl.properties("vault")["MainPID"]
    assert SECRET not in mctl.shell(f"tr '\\0' ' ' < /proc/{pid}/environ; cat /proc/{pid}/cmdline").text
    assert SECRET not in mctl("inspect", "vault").text
    assert SECRET not in mctl.shell("journalctl -b -u mctld -o verbose").text
    assert not mctl.shell(f"find /run/mctl /var/lib/mctl -type f -exec grep -l {SECRET} {{}} +", check=False).text
    inside = "touch /run/host/credentials/more /run/host/credentials/key 2>&1 | grep -c Read-only"
    assert mctl("exec", "-u", "0", "vault", "sh", "-c", inside).text == "2\n"


@pytest.mark.usefixtures("alice_may_create")
def test_a_users_own_credentials_lie_where_only_root_may_look(mctl: Mctl) -> None:
    mctl.shell(f"printf {SECRET} > /home/alice/key; chmod 600 /home/alice/key; chown alice /home/alice/key")
    given = ("--credential", "key:/home/alice/key", "--credential", "note:-", "--restart", "always")
    options = ("--name", "safe", "--network", "none", "--user", "7:7", *given)
    mctl("create", *options, "/srv/alice", "sh", "-c", LOOK, user="alice", stdin=b"from a pipe")
    mctl.shell("rm /home/alice/key")
    shadow = ("run", "--rm", "--credential", "key:/etc/shadow", "/srv/alice", "true")
    assert b"Permission denied" in mctl(*shadow, user="alice", check=False).stderr
    mctl("start", "safe", user="alice")
    expected = [
        f"key 400 7 {SECRET}", "note 400 7 from a pipe", "/run/host/credentials 500 7", "refused", "refused",
    ]  # fmt: skip
    assert lines(mctl, "safe", 5) == expected
    mctl("restart", "-t", "0", "safe", user="alice")
    assert lines(mctl, "safe", 10) == expected * 2
    found = mctl("inspect", "safe").text
    assert '"Credentials"' in found
    assert SECRET not in found
    assert SECRET not in mctl.shell("journalctl -b -u mctld -o verbose; cat /var/lib/mctl/state.db*").text
    kept = mctl.shell(f"find /var/lib/mctl -type f -exec grep -l {SECRET} {{}} + | xargs stat -c '%a %u'").text
    assert kept == "400 0\n"
    mctl("rm", "-f", "safe")
    mctl.shell(f"until ! grep -rq {SECRET} /var/lib/mctl/containers; do sleep 0.1; done")


@pytest.mark.allow_journal(r"mctl@.*")
@pytest.mark.parametrize("options", [(), ("--init",)], ids=["plain", "init"])
def test_a_socket_starts_its_container_and_is_passed_on(
    mctl: Mctl, unit_files: Callable[[str, str], None], options: tuple[str, ...]
) -> None:
    unit_files("mctl@greeter.socket", SOCKET)
    mctl("create", "--name", "greeter", "--network", "none", *options, mctl.rootfs, "sh", "-c", ANSWER)
    mctl.shell("systemctl start mctl@greeter.socket")
    assert mctl.properties("greeter")["State"] == "created"
    mctl.machine.run(["python3", "-c", SEND])
    pid = "2" if options else "1"
    assert lines(mctl, "greeter", 3) == [f"2 {pid} {pid} greeter:greeter", "3 4", "wake up"]


def examples(unit_files: Callable[[str, str], None]) -> Iterator[list[str]]:
    """The commands of each example of the manual, when the files that it shows are written."""
    for block in BLOCK.findall(PAGE.read_text().replace("\\-", "-").partition(".SH EXAMPLES")[2]):
        commands = []
        for part in re.split(r"^# ", block, flags=re.MULTILINE)[1:]:
            command, _, text = part.partition("\n")
            if edited := re.fullmatch(r"systemctl edit (\S+)", command):
                unit_files(f"{edited[1]}.service.d/override.conf", text)
            elif shown := re.fullmatch(rf"cat {UNITS}/(\S+)", command):
                unit_files(shown[1], text)
            else:
                assert not text, command
                commands.append(command)
        yield commands


@pytest.mark.allow_journal(r"mctl@.*")
def test_the_examples_of_the_manual(mctl: Mctl, unit_files: Callable[[str, str], None]) -> None:
    first, second = examples(unit_files)
    for name in ("db", "web"):
        mctl("create", "--name", name, "--network", "none", mctl.rootfs, "sleep", "1000")
    mctl.shell("\n".join(first))
    assert mctl.shell("systemctl is-active mctl@db mctl@web").text == "active\nactive\n"
    shown = mctl.shell("systemctl show -p MemoryMax -p Restart -p Requires mctl@web").text
    assert {"MemoryMax=536870912", "Restart=on-failure"} < set(shown.splitlines())
    assert "mctl@db.service" in shown
    mctl("disable", "db", "web")

    command = 'cat $CREDENTIALS_DIRECTORY/password; echo; echo "$LISTEN_FDS"; exec sleep 1000'
    mctl("create", "--name", "mail", "--network", "none", mctl.rootfs, "sh", "-c", command)
    for line in second:
        mctl.shell(f"printf {SECRET} | {line}" if " - " in line else line)
    mctl.shell("bash -c 'exec 3<>/dev/tcp/127.0.0.1/25'")
    assert lines(mctl, "mail", 2) == [SECRET, "1"]
    mctl.shell("systemctl disable --now mctl@mail.socket; rm /etc/mail.password")
    mctl("stop", "-t", "0", "mail")
    mctl.shell("systemctl reset-failed 'mctl@mail.*'")  # sleep(1) as a first process does not end at SIGTERM
