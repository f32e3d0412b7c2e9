# SPDX-License-Identifier: GPL-3.0-or-later
"""--device: what goes over the bus, and what is refused before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mctl.devices import device_options, nodes
from mctl.failures import UsageError
from mctl.parser import find_verb, parse

if TYPE_CHECKING:
    from pathlib import Path


def asked(*words: str) -> list[tuple[str, str, str]]:
    """Path that was opened, path inside, permissions."""
    kind, found = device_options(parse(find_verb(["create", *words, "/", "sh"])))["Devices"]
    assert kind == "a(hss)"
    paths = [os.readlink(f"/proc/self/fd/{fd}") for fd, _, _ in found]
    for fd, _, _ in found:
        os.close(fd)
    return [(path, *rest) for path, (_, *rest) in zip(paths, found, strict=True)]


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/null", ("/dev/null", "/dev/null", "rw")),
        ("/dev/null:r", ("/dev/null", "/dev/null", "r")),
        ("/dev/null:/dev/x", ("/dev/null", "/dev/x", "rw")),
        ("/dev/null:/dev/x:rwm", ("/dev/null", "/dev/x", "rwm")),
    ],
)
def test_on_the_bus(text: str, device: tuple[str, str, str]) -> None:
    assert asked("--device", text) == [device]


def test_a_link_is_followed_and_shows_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    assert asked("--device", f"{tmp_path}/link:/dev/link") == [("/dev/null", "/dev/link", "rw")]


def test_a_directory_stands_for_what_lies_in_it() -> None:
    found = nodes("/dev", "/dev/host", "r")
    assert ("/dev/null", "/dev/host/null", "r") in found
    assert all(shown.startswith("/dev/host/") and "/../" not in shown for _, shown, _ in found)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("dev/null", ["DEVICE[:PATH]"]),
        ("/dev/null:/dev/x:rw:y", ["DEVICE[:PATH]"]),
        ("/dev/null:x", ["'x'", "r, w and m"]),
        ("/dev/null:", ["''", "r, w and m"]),
        ("/dev/null:rr", ["'rr'", "r, w and m"]),
        ("/dev/null:/etc/x", ["below /dev", "/etc/x"]),
        ("/tmp/x", ["below /dev", "/tmp/x"]),
        ("/dev/does-not-exist", ["--device /dev/does-not-exist", "No such file"]),
        ("/var/empty-dir-of-ours:/dev/x", ["/var/empty-dir-of-ours"]),
    ],
)
def test_refused_with_flag_and_value(text: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as raised:
        asked("--device", text)
    assert "--device" in str(raised.value)
    assert [part for part in parts if part not in str(raised.value)] == []
