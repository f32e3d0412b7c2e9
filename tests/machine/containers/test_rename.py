# SPDX-License-Identifier: GPL-3.0-or-later
"""Another name for a container: all that is its own stays, and nothing bears the old one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

pytestmark = pytest.mark.nspawn


def test_all_but_the_name_stays(mctl: Mctl) -> None:
    """Across a restart of the service, and after it the old name is free."""
    mctl.run("sh", "-c", "echo kept > /tmp/f; hostname", options=["--name", "old"])
    before = mctl.properties("old")
    mctl("rename", "old", "new")
    mctl.shell("systemctl restart mctld")
    after = mctl.properties("new")
    different = {key for key in before if before[key] != after[key]}
    assert different <= {"Name", "Unit"}
    assert after["Name"] == "new"
    gone = mctl("inspect", "old", check=False).stderr.decode()
    assert "there is no container, image, network or volume 'old'" in gone
    assert mctl("cp", "new:/tmp/f", "-").returncode == 0
    assert mctl("start", "-a", "new").text == "old\n"  # its host name
    mctl.run("true", options=["--name", "old"])
    mctl("rename", before["Id"][:12], "third")  # by its id
    assert sorted(mctl("ps", "-a", "--format", "{{.Name}}").text.split()) == ["old", "third"]
    found = mctl.journal(f"CONTAINER_ID={before['Id']}", "_TRANSPORT=stdout")
    assert [(entry["CONTAINER_NAME"], entry["MESSAGE"]) for entry in found] == [("old", "old"), ("new", "old")]


def test_what_is_not_renamed(mctl: Mctl) -> None:
    mctl.run("sleep", "100000", options=["-d", "--name", "runs"])
    mctl.run("true", options=["--name", "rests"])
    mctl("enable", "rests")
    for words, sentence in (
        (("runs", "new"), "stop it first"),
        (("rests", "new"), "`mctl disable` it first"),
        (("nobody", "new"), "there is no container 'nobody'"),
        (("runs", "New"), "is not a valid name"),
    ):
        done = mctl("rename", *words, check=False)
        assert done.returncode != 0
        assert sentence in done.stderr.decode()
    mctl("disable", "rests")
    taken = mctl("rename", "rests", "runs", check=False)
    assert "name 'runs' is taken" in taken.stderr.decode()
    mctl("rename", "rests", "new")
    assert mctl.shell("ls /run/systemd/transient /etc/systemd/system | grep rests || true").text == ""


def test_what_is_seen_of_it_on_the_bus(mctl: Mctl) -> None:
    """The old object goes, and a new one comes."""
    mctl("create", "--name", "old", mctl.rootfs, "true")
    mctl("rename", "old", "new")
    tree = mctl.shell("busctl tree --list org.mctl1").text
    assert "/org/mctl1/container/new" in tree
    assert "/org/mctl1/container/old" not in tree
