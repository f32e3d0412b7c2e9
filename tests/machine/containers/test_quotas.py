# SPDX-License-Identifier: GPL-3.0-or-later
"""mctld.conf: what one user may ask for, and root may all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

DROP_IN = "/etc/mctl/mctld.conf.d/50-test.conf"
NONSENSE = f"{DROP_IN}:6: 'CallsPerSecond=many' is ignored: it must be 1 to 1000000, or infinity"


@pytest.fixture
def bounded(mctl: Mctl) -> Iterator[Mctl]:
    mctl.shell(f"mkdir -p $(dirname {DROP_IN})")
    owned = "VolumesPerOwner=1\nExecsPerUser=1\nContainersPerOwner=2"
    text = f"[Limits]\n{owned}\nCallsPerSecond=20\nCallsPerSecond=many\nStopTimeoutMax=20\n"
    mctl.machine.run(["sh", "-c", f"cat > {DROP_IN}; systemctl restart mctld"], input=text)
    yield mctl
    mctl.shell("rm -r /etc/mctl; systemctl restart mctld")


@pytest.mark.allow_journal(NONSENSE.replace("[", r"\["))
@pytest.mark.usefixtures("alice_may_create")
def test_the_bounds_of_a_user(bounded: Mctl) -> None:
    create = ["create", "--no-ask-password", "--name"]
    for name in ("one", "two"):
        bounded(*create, name, "/srv/alice", "true", user="alice")
    refused = bounded(*create, "three", "/srv/alice", "true", user="alice", check=False)
    assert refused.returncode == 125
    said = "user 1000 has 2 containers, and may have 2 (ContainersPerOwner= in mctld.conf(5))"
    assert said in refused.stderr.decode()
    for _ in range(3):
        bounded("create", bounded.rootfs, "true")
    bounded("volume", "create", "first", user="alice")
    refused = bounded("volume", "create", "second", user="alice", check=False)
    assert "user 1000 has 1 volumes, and may have 1 (VolumesPerOwner= in mctld.conf(5))" in refused.stderr.decode()
    bounded("volume", "rm", "first", user="alice")
    bounded("rm", "one", user="alice")
    refused = bounded(*create, "three", "--stop-timeout", "4000000", "/srv/alice", "true", user="alice", check=False)
    said = "a container of user 1000 may take 20 s to stop (StopTimeoutMax= in mctld.conf(5)), not 4000000 s"
    assert said in refused.stderr.decode()
    bounded(*create, "three", "/srv/alice", "sleep", "1000", user="alice")
    bounded("start", "three", user="alice")
    bounded("exec", "-d", "three", "sleep", "1000", user="alice")
    refused = bounded("exec", "three", "true", user="alice", check=False)
    said = "user 1000 has 1 commands executed in containers, and may have 1 (ExecsPerUser= in mctld.conf(5)): end one"
    assert said in refused.stderr.decode()
    assert NONSENSE in [entry["MESSAGE"] for entry in bounded.journal("_SYSTEMD_UNIT=mctld.service", "PRIORITY=4")]


@pytest.mark.allow_journal(NONSENSE.replace("[", r"\["))
def test_a_flood_of_calls_is_refused_and_hurts_nobody_else(bounded: Mctl) -> None:
    bounded.shell(f"echo '[Limits]\nCallsPerSecond=2' > {DROP_IN}.d.conf; systemctl restart mctld")
    names = " ".join(f"x{number}" for number in range(200))
    flood = bounded.shell(f"runuser -u bob -- mctl stop --no-ask-password {names} 2>&1", check=False).text
    assert "user 1001 calls more often than 2 times a second" in flood
    assert bounded("ps", "-q", user="alice").text == ""
    assert bounded("ps", "-q").text == ""
