# SPDX-License-Identifier: GPL-3.0-or-later
"""mctld's own messages: with their priorities in the journal, and as many as an administrator wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from machine.guest import Machine

    from .conftest import Mctl

REMOVED = "somebody has removed the nftables table of containers: it is made again"
LEVEL = "systemctl service-log-level mctld.service"


def messages(mctl: Mctl, since: str, *matches: str) -> list[tuple[str, str]]:
    found = mctl.journal("_SYSTEMD_UNIT=mctld.service", "SYSLOG_IDENTIFIER=mctld", f"--since=@{since}", *matches)
    return [(entry["PRIORITY"], entry["MESSAGE"]) for entry in found]


@pytest.fixture(scope="module")
def listening(session_machine: Machine, rootfs: str) -> None:
    """The first published port makes the service listen for changes of nftables, from then on."""
    session_machine.run(["mctl", "run", "--rm", "-p", "8099:80", rootfs, "true"])


@pytest.mark.allow_journal(REMOVED)
@pytest.mark.usefixtures("listening")
def test_a_warning_is_one(mctl: Mctl) -> None:
    since = mctl.shell("date +%s").text.strip()
    mctl.run("sleep", "1000", options=["-d", "--name", "web", "-p", "8099:80"])
    mctl.shell("nft delete table inet mctl")
    mctl.shell("for i in $(seq 300); do nft list table inet mctl > /dev/null 2>&1 && break; sleep 0.1; done")
    assert ("4", REMOVED) in messages(mctl, since)
    assert "<4>" not in str(messages(mctl, since))


def test_the_level_changes_at_once(mctl: Mctl) -> None:
    since = mctl.shell("date +%s").text.strip()
    mctl("create", "--name", "quiet", mctl.rootfs, "true")
    assert mctl.shell(LEVEL).text == "info\n"
    try:
        mctl.shell(f"{LEVEL} debug")
        assert mctl.shell(LEVEL).text == "debug\n"
        mctl("rm", "quiet")
        found = messages(mctl, since)
        assert ("7", "root: remove quiet") in found
        assert ("7", "root: create quiet") not in found
    finally:
        mctl.shell(f"{LEVEL} info")
    assert mctl.shell("systemctl service-log-target mctld.service").text == "journal\n"
    assert mctl.shell(f"{LEVEL} loud", check=False).returncode != 0
    refused = mctl.machine.run(["sh", "-c", f"{LEVEL} debug"], user="bob", check=False)
    assert refused.returncode != 0
    assert mctl.shell(LEVEL).text == "info\n"
