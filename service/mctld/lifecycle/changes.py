# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container has changed of its root file system, as a list of paths; it goes on meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..image import ImageRoot
from ..images.changes import Changes
from ..images.merge import Merge
from ..images.sink import Sink
from .committing import LAID_OVER, sources_of
from .writing import written

if TYPE_CHECKING:
    from collections.abc import Callable

    from .container import Container
    from .machinery import Machinery

PIECE = 64 << 10  # bytes
PLACES = frozenset({*LAID_OVER, *((name,) for name in (b"dev", b"etc", b"proc", b"sys"))})  # made where there are none


async def list_changes(machinery: Machinery, container: Container, output: int, uid: int) -> None:
    """Each as a letter, a space, the path and a NUL, into a file, pipe or socket of the caller's."""
    root = container.spec.rootfs
    with machinery.images.leaving.of(uid):
        async with sources_of(machinery, container.record) as sources:
            own = len(sources) - (len(root.layers) if isinstance(root, ImageRoot) else 1)
            if not own:  # it has never been started
                return
            changes = Changes(Merge(sources[:own], whiteouts=True), Merge(sources[own:]), PLACES)
            what = f"what container {container.name!r} has changed could not be read"
            await written(Sink(output), lambda write: _write(changes, write), what)


def _write(changes: Changes, write: Callable[[bytes], None]) -> None:
    pending = bytearray()
    for kind, path in changes:
        pending += kind + b" /" + b"/".join(path) + b"\0"
        if len(pending) >= PIECE:
            write(bytes(pending))
            pending.clear()
    write(bytes(pending))
