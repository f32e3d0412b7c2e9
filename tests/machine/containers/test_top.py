# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a container: what mctl top says is what the kernel says, inside and outside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

pytestmark = pytest.mark.nspawn


def test_each_process_by_both_its_numbers(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "sleep 4711 & exec sleep 4712", options=["-d", "--name", "web"])
    mctl("exec", "-d", "-u", "7", "web", "sleep", "4713")
    found = {each["Command"][1]: each for each in json.loads(mctl("top", "--json", "web").stdout)}
    assert sorted(found) == ["4711", "4712", "4713"]
    shift = mctl.properties("web")["UIDShift"]
    inside = {line.split()[0]: line for line in mctl("exec", "web", "ps", "-o", "pid,args").text.splitlines()}
    for argument, each in found.items():
        assert mctl.shell(f"tr '\\0' ' ' < /proc/{each['PID']}/cmdline").text == f"sleep {argument} "
        assert f"sleep {argument}" in inside[str(each["ContainerPID"])]
    assert (found["4712"]["ContainerPID"], found["4711"]["ContainerParentPID"]) == (1, 1)
    assert (found["4713"]["ContainerUID"], found["4713"]["UID"]) == (7, shift + 7)
    assert found["4713"]["ContainerParentPID"] == 0  # the spawner's, which is outside
    listed = mctl("top", "web", "pid,user", "args").text.splitlines()
    assert listed[0].split() == ["PID", "USER", "ARGS"]
    assert listed[1].split() == ["1", "0", "sleep", "4712"]


def test_what_a_process_calls_itself_obeys_nobody(mctl: Mctl) -> None:
    """Its arguments reach a terminal as visible escapes."""
    mctl.run("sh", "-c", "exec sleep 100000 # \x1b[2Jevil", options=["-d", "--name", "web"])
    mctl("exec", "-d", "web", "sh", "-c", "sleep 100 # \x1b[2Jevil\nline\xff; true")
    listed = mctl("top", "web").text
    assert "\x1b" not in listed
    assert "\\e[2Jevil" in listed
    mctl("stop", "-t", "0", "web")
    assert "is not running" in mctl("top", "web", check=False).stderr.decode()
