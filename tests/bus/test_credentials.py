# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets for containers: read from what the caller has opened, and told to nobody."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, MANAGER, House
from bus.polkit import YES
from mctld.bus.paths import ROOT
from mctld.credential import ALL_MAX, CREDENTIALS_MAX

if TYPE_CHECKING:
    from pathlib import Path

SECRET = b"correct-horse-battery"


def memory(content: bytes) -> int:
    made = os.memfd_create("secret")
    os.write(made, content)
    return made


async def create(house: House, rootfs: Path, given: list[tuple[str, int]]) -> str:
    """The refusal, empty if there is none. Closes what is given."""
    os.chown(rootfs, ALICE, ALICE)
    house.polkit.decide = lambda _: YES
    fds = [os.open(rootfs, os.O_RDONLY | os.O_DIRECTORY), *(fd for _, fd in given)]
    named = [[name, number] for number, (name, _) in enumerate(given, 1)]
    options = {
        "Rootfs": Variant("h", 0), "Command": Variant("as", ["/bin/true"]), "Credentials": Variant("a(sh)", named),
    }  # fmt: skip
    alice = await house.client(ALICE)
    try:
        await alice.call(ROOT, MANAGER, "CreateContainer", "sa{sv}t", "web", options, 0, fds=fds)
    except Exception as error:
        return str(error)
    finally:
        for fd in fds:
            os.close(fd)
    return ""


async def test_what_is_given_is_kept_and_only_its_name_is_told(house: House, tmp_path: Path) -> None:
    assert await create(house, tmp_path, [("key", memory(SECRET)), ("empty", memory(b""))]) == ""
    assert house.registry.containers["web"].spec.credentials == ("key", "empty")
    kept = house.registry.secrets["web"]
    assert kept.contents == {"key": SECRET, "empty": b""}
    assert SECRET.decode() not in repr(kept)
    assert SECRET.decode() not in repr(house.polkit.asked)
    alice = await house.client(ALICE)
    assert await alice.get("web", "Credentials") == ["key", "empty"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [(["a/b"], "'a/b' is not valid"), ([".."], "is not valid"), ([""], "is not valid"),
     (["a", "a"], "the same name twice"), ([f"n{number}" for number in range(CREDENTIALS_MAX + 1)], "the most is 12")],
)  # fmt: skip
async def test_names_are_plain(house: House, tmp_path: Path, names: list[str], sentence: str) -> None:
    assert sentence in await create(house, tmp_path, [(name, memory(b"x")) for name in names])


async def test_what_could_keep_the_service_waiting_is_refused(house: House, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    assert "not a file that is open for reading" in await create(house, tmp_path, [("key", reading)])
    blind = os.open(tmp_path / "key", os.O_WRONLY | os.O_CREAT)
    assert "not a file that is open for reading" in await create(house, tmp_path, [("key", blind)])
    found = os.open(tmp_path / "key", os.O_PATH)
    assert "not a file that is open for reading" in await create(house, tmp_path, [("key", found)])


@pytest.mark.parametrize("path", ["/proc/1/stat", "/proc/self/mem", "/sys/kernel/notes"])
async def test_what_the_kernel_tells_whoever_reads_is_refused(house: House, tmp_path: Path, path: str) -> None:
    """Root is told by /proc/PID/stat where a process has its stack; /proc/self/mem was an internal error."""
    assert "is a file of the kernel's" in await create(house, tmp_path, [("key", os.open(path, os.O_RDONLY))])


async def test_there_is_room_for_a_mebibyte(house: House, tmp_path: Path) -> None:
    half = b"x" * (ALL_MAX // 2)
    assert "more than" in await create(house, tmp_path, [("a", memory(half)), ("b", memory(half + b"x"))])
    assert await create(house, tmp_path, [("a", memory(half)), ("b", memory(half))]) == ""
