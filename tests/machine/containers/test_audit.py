# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal's record of who was refused, and who did what not everybody may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

ID = "MESSAGE_ID=e46a1f3c08d24b0f9a5c7be2d1f60a93"


@pytest.fixture(autouse=True)
def nothing_told_yet(mctl: Mctl) -> None:
    """What was refused in the minute before, to whichever test, would count."""
    mctl.shell("systemctl restart mctld")


def record(mctl: Mctl, container: str) -> list[dict[str, Any]]:
    return mctl.journal(ID, f"MCTL_CONTAINER_NAME={container}", "_SYSTEMD_UNIT=mctld.service")


def test_who_was_refused_and_who_was_not(mctl: Mctl) -> None:
    """A refusal, root's own way past polkit, and what neither is."""
    mctl.run("sleep", "1000", options=["-d", "--name", "watched"])
    mctl("stop", "--no-ask-password", "watched", user="bob", check=False)
    shell = "systemd-run -q --wait --collect --unit=mctl-test-caller --uid=alice busctl call --timeout=9"
    stop = "org.mctl1 /org/mctl1/container/watched org.mctl1.Container Stop a{sv}t 0 0"
    mctl.shell(f"{shell} --allow-interactive-authorization=yes {stop}", check=False)
    mctl("stop", "-t", "0", "watched")
    made, challenge, refused = record(mctl, "watched")
    assert (made["MCTL_VERDICT"], made["MCTL_VERB"], made["MCTL_CALLER_UID"]) == ("granted", "run", "0")
    assert "The action of polkit: org.mctl1.create-privileged." in mctl.shell(f"journalctl -q -x {ID}").text
    assert made["MCTL_DANGERS"].startswith("files of other users in /srv/root")
    assert (challenge["MCTL_VERDICT"], challenge["MCTL_CALLER_UID"]) == ("challenge", "1001")
    assert challenge["MCTL_CALLER_COMM"] == "mctl"
    assert refused["MCTL_VERDICT"] == "refused"
    assert refused["MCTL_ACTION"] == "org.mctl1.manage"
    assert refused["MCTL_CALLER_UID"] == "1000"
    assert (refused["MCTL_CALLER_COMM"], refused["MCTL_CALLER_UNIT"]) == ("busctl", "mctl-test-caller.service")
    assert refused["MCTL_OWNER_UID"] == "0"
    explained = mctl.shell(f"journalctl -q -x {ID} MCTL_CALLER_UNIT=mctl-test-caller.service").text
    assert "Subject: refused: container watched, asked for by uid 1000" in explained
    seen = mctl.shell(f"runuser -u bob -- journalctl -q {ID} 2>&1; true").text
    assert "watched" not in seen


def test_a_flood_of_refusals_is_counted(mctl: Mctl) -> None:
    """400 refusals of one user are some thirty entries and a count that is right."""
    names = " ".join(f"flood{number}" for number in range(400))
    mctl.shell(f"runuser -u bob -- mctl stop --no-ask-password {names} 2>/dev/null", check=False)
    mctl.shell("systemctl restart mctld")
    entries = [e for e in mctl.journal(ID, "MCTL_CALLER_UID=1001") if "flood" in e["MCTL_OBJECT"]]
    assert len(entries) < 40
    assert sum(int(e.get("MCTL_TIMES", 1)) for e in entries) == 400
