# SPDX-License-Identifier: GPL-3.0-or-later
"""What a released version has offered on the bus, programs were written for: it stays as it was.

`PYTHONPATH=service python3 tests/contract/test_signatures.py` prints what there is now, for the file of a release.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mctld.bus import content, copies, deriving, images, listing, making, options, transfers, volumes

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
RELEASES = sorted(HERE.glob("interface-*.txt"))
OPTIONS = {
    "Connect": options.CONNECT, "Commit": deriving.COMMIT, "CopyIn": copies.IN, "CreateContainer": options.CREATION,
    "CreateNetwork": options.NETWORK, "CreateVolume": volumes.CREATION, "DeriveImage": deriving.DERIVE,
    "Exec": options.EXEC, "Export": content.EXPORT, "FollowLog": options.FOLLOWED_LOG, "GetStats": listing.CHOICE,
    "ImportImage": making.IMPORT, "ListContainers": listing.FILTER, "ListImages": images.FILTER,
    "LoadImages": images.LOAD, "OpenEvents": options.EVENTS, "OpenLog": options.LOG, "PullImage": transfers.PULL,
    "PushImage": transfers.ACCESS, "RunContainer": options.RUN, "StartAttached": options.START, "Stop": options.STOP,
    "Update": options.UPDATE,
}  # fmt: skip


def offered() -> Iterator[str]:
    for file in sorted((HERE.parents[1] / "dbus").glob("org.*.xml")):
        for interface in ET.parse(file).iter("interface"):
            for member in interface:
                if member.tag != "annotation":
                    yield f"{member.tag} {interface.attrib['name']}.{member.attrib['name']} {signature(member)}"
    for method, known in OPTIONS.items():
        yield from (f"option {method} {name} {kind}" for name, kind in known.items())


def signature(member: ET.Element) -> str:
    if member.tag == "property":
        return f"{member.attrib['type']} {member.attrib['access']}"
    arguments = [(each.attrib.get("direction", "out"), each.attrib["type"]) for each in member.findall("arg")]
    given, returned = ("".join(kind for way, kind in arguments if way == wanted) for wanted in ("in", "out"))
    return f"({given}) -> ({returned})"


@pytest.mark.parametrize("file", RELEASES, ids=lambda file: file.stem)
def test_what_was_released_stays(file: Path) -> None:
    """Members and options may be added. For another signature there are other names."""
    released = file.read_text().splitlines()
    assert len(released) > 300
    assert set(released) - set(offered()) == set()


def test_a_release_is_known() -> None:
    assert RELEASES


if __name__ == "__main__":
    print("\n".join(sorted(offered())))
