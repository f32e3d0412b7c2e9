# SPDX-License-Identifier: GPL-3.0-or-later
"""How far each layer has come of an image that is being fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

WAITING, FETCHING, FETCHED, HERE, UNPACKING, DONE = "waiting", "fetching", "fetched", "here", "unpacking", "done"
SIZE_MAX = 2**63 - 1  # a registry may name any number


@dataclass(slots=True)
class _Layer:
    size: int
    bytes: int = 0
    state: str = WAITING


class Progress:
    """By the digests of blobs, as the manifest has them, the lowest layer first; of two that are the same one is told.

    counts: how many layers are there, and are wanted.
    """

    def __init__(self) -> None:
        self.counts = (0, 0)
        self._layers: dict[str, _Layer] = {}

    def all(self) -> list[list[str | int]]:
        """digest, bytes, size, state."""
        return [[digest, layer.bytes, layer.size, layer.state] for digest, layer in self._layers.items()]

    def expect(self, blobs: Iterable[tuple[str, int]], here: Collection[str] = ()) -> None:
        """Sizes are the manifest's. here: those that are not fetched."""
        self._layers = {
            digest: _Layer(min(size, SIZE_MAX), state=HERE if digest in here else WAITING) for digest, size in blobs
        }

    def fetch(self, shown: Mapping[str, int], whole: Collection[str]) -> None:
        """shown: bytes by the beginnings of digests, of those that are under way; whole: digests of those that came."""
        for digest, layer in self._layers.items():
            if digest in whole and layer.state in (WAITING, FETCHING):
                layer.state, layer.bytes = FETCHED, layer.size
        for beginning, count in shown.items():
            for digest, layer in self._layers.items():
                if digest.startswith(beginning) and layer.state in (WAITING, FETCHING):
                    layer.state, layer.bytes = FETCHING, min(count, layer.size)

    def have_come(self, blobs: Iterable[tuple[str, int]]) -> None:
        """The transfer is over, and its manifest proved: what was not here has come."""
        here = {digest for digest, layer in self._layers.items() if layer.state == HERE}
        self.expect(blobs, here)
        self.fetch({}, self._layers)

    def unpack(self, blob: tuple[str, int] | None) -> None:
        self._reach(UNPACKING, blob)

    def unpacked(self, blob: tuple[str, int] | None) -> None:
        """One layer more is there."""
        done, wanted = self.counts
        self.counts = done + 1, wanted
        self._reach(DONE, blob)

    def _reach(self, state: str, blob: tuple[str, int] | None) -> None:
        if blob and blob[0] in self._layers:
            self._layers[blob[0]].state = state
