# SPDX-License-Identifier: GPL-3.0-or-later
"""Images whose files have become others: removed, and pulled anew where a registry has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .conftest import STORE
from .test_registry import BOX, PASSWORD, REGISTRY, nothing_left, registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

__all__ = ["registry"]
LOGIN = f"mkdir -p /run/containers/0; printf 'open sesame' | skopeo login -u alice --password-stdin {REGISTRY}"
DAMAGE = f"""
for file in {STORE}/layers/*/tree/bin/busybox; do printf X | dd of=$file bs=1 seek=100 conv=notrunc status=none; done
"""


@pytest.fixture
def pulled(registry: Mctl) -> Iterator[Mctl]:
    """Nothing but TEAM/box:1, of root's, with one name more, and a login that is found."""
    registry.shell(LOGIN)
    registry("rmi", "busybox")
    registry("pull", BOX)
    registry("tag", BOX, "mine:1")
    yield registry
    registry.shell("rm -r /run/containers")


def repaired(mctl: Mctl, status: int) -> tuple[list[str], str]:
    found = mctl("image", "check", "--repair", check=False, timeout=120)
    assert found.returncode == status
    return found.text.splitlines(), found.stderr.decode()


def test_what_was_damaged_is_pulled_again(pulled: Mctl) -> None:
    before = json.loads(pulled("image", "inspect", BOX).stdout)
    pulled.shell(DAMAGE)
    told = pulled("image", "check", check=False)
    assert (told.returncode, f"removes the image and pulls {BOX}\n".encode() in told.stderr) == (1, True)
    said, complaints = repaired(pulled, 0)
    assert said == [f"{BOX}: removed", f"{BOX}: pulled again"]
    assert "is damaged\n" in complaints
    after = json.loads(pulled("image", "inspect", "mine:1").stdout)
    assert {key: after[key] for key in ("Id", "Shared")} == {key: before[key] for key in ("Id", "Shared")}
    assert sorted(after["Names"]) == sorted(before["Names"])
    assert pulled("run", "--rm", "--pull", "never", "mine:1", "echo", "whole").text == "whole\n"
    assert pulled("image", "check").text == f"{BOX}: ok\n"
    nothing_left(pulled)


def test_a_layer_that_another_image_keeps_is_damaged_still(pulled: Mctl) -> None:
    """What is here is not fetched, and what a container has is not changed below it."""
    pulled("run", "--name", "more", BOX, "sh", "-c", "echo more > /more")
    pulled("commit", "more", "more:1")
    pulled("rm", "more")
    pulled("create", "--name", "user", "more:1", "true")
    pulled.shell(DAMAGE)
    said, complaints = repaired(pulled, 1)
    assert said == [f"{BOX}: removed"]
    assert "is used by user" in complaints
    assert f"{BOX}: pulled again, but damaged still: another image or a container has kept the layer" in complaints
    pulled("rm", "user")
    said, complaints = repaired(pulled, 0)
    assert sorted(said) == [f"{BOX}: pulled again", f"{BOX}: removed", "more:1: removed; bring it in again"]
    assert pulled("run", "--rm", "--pull", "never", BOX, "echo", "whole").text == "whole\n"


def test_a_name_that_means_another_image_by_now(pulled: Mctl) -> None:
    pulled("run", "--name", "more", BOX, "sh", "-c", "echo more > /more")
    pulled("commit", "more", "more:1")
    pulled("push", "more:1", BOX)
    other = json.loads(pulled("image", "inspect", "more:1").stdout)["Id"]
    pulled("rm", "more")
    pulled("rmi", "more:1")
    pulled.shell(DAMAGE)
    said, complaints = repaired(pulled, 1)
    assert said == [f"{BOX}: removed"]
    assert f"{BOX} is another image by now, {other}, which was pulled; what was called mine:1 is not " in complaints
    assert pulled("run", "--rm", "--pull", "never", BOX, "cat", "/more").text == "more\n"


def test_a_registry_that_does_not_answer(pulled: Mctl) -> None:
    pulled.shell("systemctl stop test-registry")
    pulled.shell(DAMAGE)
    said, complaints = repaired(pulled, 1)
    assert said == [f"{BOX}: removed"]
    assert f"{BOX}: not there any more: could not pull {BOX}: " in complaints
    assert f"`mctl pull {BOX}` brings it in again" in complaints
    nothing_left(pulled)


def test_what_is_anothers_is_left_to_them(pulled: Mctl, alice_may_import: Mctl) -> None:
    assert alice_may_import is pulled
    pulled("rmi", "mine:1", BOX)
    pulled("pull", "--creds", "alice", BOX, user="alice", stdin=PASSWORD)
    pulled.shell(DAMAGE)
    said, _ = repaired(pulled, 0)
    assert said == [f"{BOX}: removed; bring it in again"]
    assert pulled("images", "-q", user="alice").text == ""
