# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever becomes of the service's own files: what runs goes on, and can be stopped and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

DATABASE = "/var/lib/mctl/state.db"
UNREADABLE = r"What is stored of container \S+ cannot be read"


def change_database(mctl: Mctl, *statements: str) -> None:
    """While the service is down."""
    code = f"import sqlite3; d = sqlite3.connect('{DATABASE}', isolation_level=None); "
    mctl.shell("systemctl stop mctld.service")
    mctl.machine.run(["python3", "-c", code + "; ".join(f"d.execute({statement!r})" for statement in statements)])
    mctl.shell("systemctl start mctld.service")


@pytest.mark.allow_journal(UNREADABLE)
def test_one_unreadable_container_harms_no_other(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "good"])
    mctl.run("sleep", "1000", options=["-d", "--name", "bad"])
    mctl.run("sh", "-c", "echo kept > /tmp/kept", options=["--name", "ended"])
    before = mctl.properties("bad")
    change_database(mctl, "UPDATE container SET spec = '{\"later\": 1}' WHERE name IN ('bad', 'ended')")
    assert mctl.properties("good")["State"] == "running"
    found = mctl.properties("bad")
    assert {k: found[k] for k in ("Id", "State", "MainPID")} == {k: before[k] for k in ("Id", "State", "MainPID")}
    assert "KeyError" in found["Warnings"][0]
    ended = mctl.properties("ended")
    assert ended["State"] == "unreadable"
    assert "ended" in mctl("ps").text
    mctl.shell(f"grep -r kept /var/lib/mctl/containers/{ended['Id']}/upper/tmp")
    for verb in (["start", "ended"], ["exec", "bad", "true"], ["update", "--pids", "5", "bad"]):
        refused = mctl(*verb, check=False)
        assert refused.returncode
        assert "it can be stopped and removed, and nothing else" in refused.stderr.decode()
    told = [str(e["MESSAGE"]) for e in mctl.journal("_SYSTEMD_UNIT=mctld.service")]
    assert sum("container bad cannot be read" in line for line in told) == 1
    mctl("stop", "-t", "0", "bad")
    assert mctl.properties("bad")["State"] == "unreadable"
    mctl("rm", "bad", "ended")
    assert "bad" not in mctl("ps", "-a").text
