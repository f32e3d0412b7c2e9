# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of the host: none but those that were given, and no more than was said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

GIVEN = ["--rm", "--device", "/dev/full:/dev/given/full", "--device", "/dev/zero:/dev/given/zero:r"]


@pytest.fixture
def memory_in_the_image(mctl: Mctl) -> Iterator[None]:
    mctl.shell("mknod -m 666 /srv/root/mem c 1 1; mknod -m 666 /srv/root/null c 1 3")
    yield
    mctl.shell("rm /srv/root/mem /srv/root/null")


def test_a_device_shows_where_and_as_said(mctl: Mctl) -> None:
    script = (
        "stat -c '%F %t:%T %a %u' /dev/given/full /dev/given/zero; head -c 3 /dev/given/zero | wc -c; "
        "(: > /dev/given/full) && echo writable; (: > /dev/given/zero) || echo no; mknod /dev/new c 1 7 || echo no"
    )
    result = mctl.run("sh", "-c", script, options=GIVEN, check=False)
    assert result.text.splitlines() == [
        "character special file 1:7 666 0", "character special file 1:5 444 0", "3", "writable", "no", "no",
    ]  # fmt: skip


def test_the_hosts_node_is_not_the_containers(mctl: Mctl) -> None:
    look = "stat -c '%a %u %Y' /dev/full"
    before = mctl.shell(look).text
    script = "chmod 600 /dev/given/full && chown 5 /dev/given/full && stat -c '%a %u' /dev/given/full"
    for more in ([], ["--userns", "host"]):
        assert mctl.run("sh", "-c", script, options=[*GIVEN, *more]).text == "600 5\n"
        assert mctl.shell(look).text == before


@pytest.mark.parametrize("options", [GIVEN, ["--rm", "--userns", "host", "--cap-add", "MKNOD"], ["--rm"]])
def test_no_other_device_opens(mctl: Mctl, options: list[str], memory_in_the_image: None) -> None:
    """Neither one that lies in the image, nor one that it makes."""
    script = "for d in /mem /null; do head -c 1 $d > /dev/null || echo no; done; mknod /dev/m c 1 1 || echo no"
    result = mctl.run("sh", "-c", script, options=options, check=False)
    assert result.text == "no\nno\nno\n"


def test_common_devices_work_under_the_rules(mctl: Mctl) -> None:
    script = (
        "echo > /dev/null; head -c 2 /dev/zero | wc -c; head -c 2 /dev/urandom | wc -c; head -c 1 /dev/full | wc -c; "
        "(echo > /dev/full) || echo full"
    )
    for options in (GIVEN, ["--rm", "--userns", "host"]):
        assert mctl.run("sh", "-c", script, options=options, check=False).text == "2\n2\n1\nfull\n"


def test_nodes_may_be_made_where_m_was_given(mctl: Mctl) -> None:
    options = ["--rm", "--userns", "host", "--cap-add", "MKNOD", "--device", "/dev/full:rwm"]
    refused = mctl.run("true", options=options, check=False)
    assert "/dev/full is taken" in refused.stderr.decode()
    options[-1] = "/dev/full:/dev/other:rwm"
    script = "mknod /dev/mine c 1 7 && echo made; mknod /dev/not c 1 1 || echo no"
    assert mctl.run("sh", "-c", script, options=options, check=False).text == "made\nno\n"


def test_who_is_not_root_needs_consent(mctl: Mctl, alice_may_create: None) -> None:
    refused = mctl("run", "--rm", "--device", "/dev/full:/dev/x", "/srv/alice", "true", user="alice", check=False)
    assert refused.returncode == 125
    assert "org.mctl1.create-privileged" in refused.stderr.decode()


def test_a_device_that_is_another_now_is_refused(mctl: Mctl) -> None:
    mctl.shell("mknod /dev/mctl-test c 1 7")
    try:
        mctl("create", "--name", "dev", "--device", "/dev/mctl-test", mctl.rootfs, "true")
        assert mctl.properties("dev")["Devices"] == [["/dev/mctl-test", "/dev/mctl-test", "rw"]]
        mctl.shell("rm /dev/mctl-test; mknod /dev/mctl-test c 1 1")
        refused = mctl("start", "dev", check=False)
        assert refused.returncode == 1
        assert "it is no longer 1:7" in refused.stderr.decode()
        mctl.shell("rm /dev/mctl-test; mknod /dev/mctl-test c 1 7")
        mctl("start", "dev")
    finally:
        mctl.shell("rm /dev/mctl-test")
