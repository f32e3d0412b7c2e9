# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports at which PID 1 listens for a container: a connection starts or thaws it, silence stops or freezes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .test_network import KILLED
from .test_publishing import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

# The program takes a while until it listens, as programs do; who is faster has to wait.
SERVE = "sleep 0.3; while :; do nc -l -p 80 -e sh -c 'echo hello from $(hostname)'; done"
SILENT = r"The container does not answer|mctl-activate@web\.service: (Main process exited|Failed with result)"
UNTIL = "i=0; until {}; do i=$((i+1)); [ $i -lt 300 ] || exit 1; sleep .1; done"


@pytest.fixture
def web(mctl: Mctl) -> Iterator[None]:
    yield
    mctl("rm", "-f", "web", check=False)


def create(mctl: Mctl, *options: str, script: str = SERVE) -> None:
    mctl("create", "--name", "web", "--activate", "8080:80", *options, mctl.rootfs, "sh", "-c", script)


def call(mctl: Mctl, address: str = "127.0.0.1") -> str:
    script = f"busybox timeout 60 busybox nc {address} 8080 </dev/null"
    return mctl.shell(script, check=False, timeout=90).text.strip()


def becomes(mctl: Mctl, state: str) -> None:
    mctl.shell(UNTIL.format(f"mctl inspect web | grep -q '\"State\": \"{state}\"'"))


@pytest.mark.nspawn
@pytest.mark.allow_journal(KILLED)
def test_it_starts_at_the_first_connection_and_ends_when_nobody_calls(mctl: Mctl, web: None) -> None:
    create(mctl, "--idle", "1s", "--stop-timeout", "0")
    assert call(mctl) == "hello from web"
    assert call(mctl, "::1") == "hello from web"
    becomes(mctl, "exited")
    mctl.kill_service()
    assert call(mctl) == "hello from web"
    becomes(mctl, "exited")


def test_it_is_frozen_and_goes_on_where_it_was(mctl: Mctl, web: None) -> None:
    create(mctl, "--idle", "1s", "--on-idle", "freeze")
    assert call(mctl) == "hello from web"
    pid = mctl.properties("web")["MainPID"]
    becomes(mctl, "paused")
    assert call(mctl) == "hello from web"
    assert mctl.properties("web")["MainPID"] == pid


@pytest.mark.allow_journal(SILENT)
def test_whoever_calls_is_told_when_it_cannot_be_started(mctl: Mctl, web: None) -> None:
    create(mctl, script="exit 7")
    assert call(mctl) == ""
    assert mctl.properties("web")["ExitStatus"] == 7
    mctl.shell(UNTIL.format("systemctl is-active -q mctl-activate@web.socket"))


def test_the_port_is_its_own_until_it_is_removed(mctl: Mctl, web: None) -> None:
    create(mctl, "--stop-timeout", "0")
    refused = mctl.run("true", options=["--rm", "-p", "8080:80"], check=False)
    assert "port 8080:80/tcp cannot be published: container 'web' has it" in refused.stderr.decode()
    create_other = ("create", "--name", "other", "--activate", "8080", mctl.rootfs, "true")
    assert "container 'web' has it" in mctl(*create_other, check=False).stderr.decode()
    assert len(mctl("ps", "-a", "-q").text.splitlines()) == 1
    mctl.shell("systemctl restart mctld.service")
    assert call(mctl) == "hello from web"
    mctl("stop", "web")  # the relay is still there, and learns of it by the next caller
    assert call(mctl) == "hello from web"
    mctl("rm", "-f", "web")
    assert ask(mctl, "127.0.0.1", 8080, "host") == ""
    mctl(*create_other)
    mctl("rm", "other")


def test_after_a_boot_it_listens_again_and_strangers_do_not(mctl: Mctl, web: None) -> None:
    """What is transient does not outlive a boot; and somebody's socket may be left of a container that does not."""
    create(mctl)
    copy = "sed s/8080/8081/ /run/systemd/transient/mctl-activate@web.socket >/run/systemd/system/{0}"
    stranger = "mctl-activate@gone.socket"
    mctl.shell(f"{copy.format(stranger)}; systemctl daemon-reload; systemctl start {stranger}")
    mctl.shell("systemctl stop mctld.service mctl-activate@web.socket; systemctl start mctld.service")
    mctl.shell(f"rm /run/systemd/system/{stranger}; systemctl daemon-reload")
    assert mctl.shell("systemctl is-active mctl-activate@web.socket").text.strip() == "active"
    assert mctl.shell(f"systemctl is-active {stranger}", check=False).text.strip() == "inactive"
    assert call(mctl) == "hello from web"


def test_a_port_of_the_hosts_is_refused_and_nothing_is_left(mctl: Mctl, web: None) -> None:
    code = "import socket, time; s = socket.create_server(('127.0.0.1', 8080)); time.sleep(60)"
    mctl.shell(f'python3 -c "{code}" >/dev/null 2>&1 & echo $! >/run/listener')
    mctl.shell(UNTIL.format("ss -Hltn 'sport = :8080' | grep -q ."))
    refused = mctl("create", "--name", "web", "--activate", "8080:80", mctl.rootfs, "true", check=False)
    mctl.shell("kill $(cat /run/listener); rm /run/listener")
    assert "port 8080/tcp cannot be published: a process of the host has it" in refused.stderr.decode()
    assert mctl("ps", "-a", "-q").text == ""
    create(mctl)


def test_users_may_but_not_below_1024(mctl: Mctl, alice_may_create: None) -> None:
    for port, status in (("8080", 0), ("80", 125)):
        made = mctl("create", "--name", "hers", "--activate", port, "/srv/alice", "true", user="alice", check=False)
        assert made.returncode == status, made.stderr
    mctl("rm", "hers", user="alice")
