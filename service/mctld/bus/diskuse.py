# SPDX-License-Identifier: GPL-3.0-or-later
"""What containers, volumes and interrupted pulls have on the disk, as the bus tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbus_next.signature import Variant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..volume import Volume
    from .engine import Container


def told(
    containers: Sequence[Container], volumes: Sequence[Volume], sizes: Sequence[int], downloads: Mapping[int, int]
) -> list[dict[str, Variant]]:
    """sizes: of the containers, then of the volumes. downloads: bytes that each user's interrupted pulls have left."""
    about = [("container", c.name, c.id, c.owner_uid) for c in containers]
    about += [("volume", v.display_name, v.id, v.owner_uid) for v in volumes]
    about += [("download", "", "", uid) for uid in downloads]
    return [
        {
            "Kind": Variant("s", kind),
            "Name": Variant("s", name),
            "Id": Variant("s", identity),
            "OwnerUID": Variant("u", owner),
            "Size": Variant("t", size),
        }
        for (kind, name, identity, owner), size in zip(about, (*sizes, *downloads.values()), strict=True)
    ]
