# SPDX-License-Identifier: GPL-3.0-or-later
"""An image of 200 MB from a registry on loopback, what it takes of the disk, an archive, and an image of 20 layers."""

from __future__ import annotations

import shutil
import time
from functools import partial
from typing import TYPE_CHECKING

from bench import command, layout, load, rootfs
from bench.figures import Cell, Row
from bench.measure import in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.peer import Peer, Store

PLACE = rootfs.GROUND / "images"
MOST = 5  # rounds: each moves 200 MB
NAMES = ("big", "deep")
IMPORTED = "localhost/imported:latest"


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    able = [peer for peer in peers if peer.store()]
    root, runs = peers[0].rootfs, min(runs, MOST)
    layout.write(PLACE / "big", layout.big(root))
    layout.write(PLACE / "deep", layout.deep(root))
    tar = PLACE / "big.tar"
    tar.write_bytes(next(layout.big(root)))
    layout.serve(PLACE, NAMES)
    try:
        big, deep = map(layout.reference, NAMES)
        pull, used = partial(_brought, lambda store: store.pull(big), big), _Used(able)
        cells = in_turn(able, runs, partial(pull, used), warm=False)
        yield Row("images", "pull of 200 MB in 4 layers from loopback", "ms", cells)
        yield Row("images", "processor time of it, the registry's too", "ms", used.processors())
        yield Row("images", "disk used by that image", "MiB", used.disk())
        bring, used = partial(_brought, lambda store: store.bring(str(tar), IMPORTED), IMPORTED), _Used(able)
        cells = in_turn(able, runs, partial(bring, used), warm=False)
        yield Row("images", "import of an archive of 50 MB", "ms", cells)
        yield Row("images", "processor time of it", "ms", used.processors())
        for peer in able:
            command.output(_store(peer).pull(deep))
        cells = in_turn(able, 4 * runs, lambda peer: 1000 * command.seconds(_store(peer).run(deep)))
        yield Row("images", "run /bin/true of an image of 20 layers", "ms", cells)
        for peer in able:
            command.output(_store(peer).remove(deep))
    finally:
        command.output(["systemctl", "stop", "bench-registry.service"])
        shutil.rmtree(PLACE)


class _Used:
    """By each engine in each round."""

    def __init__(self, peers: Sequence[Peer]) -> None:
        self._disk: dict[str, list[float]] = {peer.name: [] for peer in peers}
        self._processors: dict[str, list[float]] = {peer.name: [] for peer in peers}

    def add(self, peer: Peer, mebibytes: float, seconds: float) -> None:
        self._disk[peer.name].append(mebibytes)
        self._processors[peer.name].append(1000 * seconds)

    def disk(self) -> dict[str, Cell]:
        return {name: Cell(tuple(values)) for name, values in self._disk.items() if values}

    def processors(self) -> dict[str, Cell]:
        return {name: Cell(tuple(values)) for name, values in self._processors.items() if values}


def _brought(how: Callable[[Store], list[str]], name: str, used: _Used, peer: Peer) -> float:
    store = _store(peer)
    before, began = _used(store), load.used_here()
    taken = 1000 * command.seconds(how(store))
    processors = load.used_here() - began
    used.add(peer, _used(store) - before, processors)
    command.output(store.remove(name))
    return taken


def _store(peer: Peer) -> Store:
    found = peer.store()
    assert found
    return found


def _used(store: Store) -> float:
    """MiB, in blocks, when nothing is being removed any more behind everybody's back."""
    before, now = -1, _kibibytes(store)
    while before != now:
        time.sleep(0.5)
        before, now = now, _kibibytes(store)
    return now / 1024


def _kibibytes(store: Store) -> int:
    count = f"du -s -B 1024 {store.directory} 2> /dev/null || true"  # files may vanish meanwhile
    return int(command.output(["sh", "-c", count]).split()[0])
