# SPDX-License-Identifier: GPL-3.0-or-later
"""Images, their names and their layers, as tables of the store. A layer is needed as long as an image or a container
has it: containers add their rows in the transaction that adds the container, and lose them with it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

from .configuration import Configuration
from .errors import NameTaken, NoSuchImage, StoreFailed
from .image import Image, Layer
from .reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

SCHEMA = """
CREATE TABLE layer (
    diff_id TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    has_root INTEGER NOT NULL
) STRICT;
CREATE TABLE image (
    key TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    owner_uid INTEGER NOT NULL,
    shared INTEGER NOT NULL,
    created_usec INTEGER NOT NULL,
    imported_usec INTEGER NOT NULL,
    configuration TEXT NOT NULL,
    UNIQUE (owner_uid, id)
) STRICT;
CREATE TABLE image_layer (
    image TEXT NOT NULL REFERENCES image (key) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    layer TEXT NOT NULL REFERENCES layer (diff_id),
    PRIMARY KEY (image, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_layer_by_layer ON image_layer (layer);
CREATE TABLE image_name (
    owner_uid INTEGER NOT NULL,
    repository TEXT NOT NULL,
    tag TEXT NOT NULL,
    image TEXT NOT NULL REFERENCES image (key) ON DELETE CASCADE,
    PRIMARY KEY (owner_uid, repository, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_name_by_image ON image_name (image);
CREATE TABLE container_layer (
    container TEXT NOT NULL REFERENCES container (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    layer TEXT NOT NULL REFERENCES layer (diff_id),
    PRIMARY KEY (container, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX container_layer_by_layer ON container_layer (layer);
"""
_NEEDED = """
    EXISTS (SELECT 1 FROM image_layer WHERE layer = diff_id)
    OR EXISTS (SELECT 1 FROM container_layer WHERE layer = diff_id)
"""


class Catalog:
    """Works on the store's connection; what it has told of images is kept, since reading one means parsing it."""

    def __init__(self, database: sqlite3.Connection, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called with each change, before it is for good."""
        self._database = database
        self._changed = changed
        self._images: dict[str, Image] = {}
        self._layers = {
            diff_id: Layer(diff_id, size, entries, bool(has_root))
            for diff_id, size, entries, has_root in database.execute("SELECT * FROM layer")
        }
        for row in database.execute("SELECT * FROM image ORDER BY imported_usec").fetchall():
            self._images[row[0]] = self._read(row)

    def all(self) -> tuple[Image, ...]:
        return tuple(self._images.values())

    def get(self, key: str) -> Image | None:
        return self._images.get(key)

    def layer(self, diff_id: str) -> Layer | None:
        return self._layers.get(diff_id)

    def layers(self) -> tuple[Layer, ...]:
        return tuple(self._layers.values())

    def add(self, image: Image) -> Image:
        """With its layers, and its names, which others lose. One that its owner has already only gets the names."""
        there = self._same(image)
        if there is not None:
            image = replace(
                there,
                shared=there.shared or image.shared,
                references=(*there.references, *(r for r in image.references if r not in there.references)),
            )
        with self._transaction("store the image", image.display_name):
            for layer in image.layers:
                values = (layer.diff_id, layer.size, layer.entries, int(layer.has_root))
                self._database.execute("INSERT OR IGNORE INTO layer VALUES (?, ?, ?, ?)", values)
            self._insert(image)
        self._layers |= {layer.diff_id: layer for layer in image.layers if layer.diff_id not in self._layers}
        self._take_names(image)
        return image

    def rename(self, image: Image, references: Sequence[Reference]) -> Image:
        """These are its names from now on; others lose them."""
        changed = replace(image, references=tuple(references))
        with self._transaction("name the image", image.display_name):
            self._database.execute("DELETE FROM image_name WHERE image = ?", (image.key,))
            self._insert_names(changed)
        self._take_names(changed)
        return changed

    def share(self, image: Image, *, shared: bool) -> Image:
        changed = replace(image, shared=shared)
        with self._transaction("share the image", image.display_name):
            self._database.execute("UPDATE image SET shared = ? WHERE key = ?", (int(shared), image.key))
        self._images[image.key] = changed
        return changed

    def remove(self, image: Image) -> None:
        with self._transaction("remove the image", image.display_name):
            self._database.execute("DELETE FROM image WHERE key = ?", (image.key,))
        self._images.pop(image.key, None)

    def remove_unneeded(self, kept: Iterable[str]) -> list[str]:
        """Layers that neither an image nor a container has, nor `kept` names; they are forgotten, and returned."""
        found = [row[0] for row in self._database.execute(f"SELECT diff_id FROM layer WHERE NOT ({_NEEDED})")]
        unneeded = [diff_id for diff_id in found if diff_id not in set(kept)]
        if unneeded:
            with self._transaction("forget layers", f"{len(unneeded)}"):
                self._database.executemany("DELETE FROM layer WHERE diff_id = ?", [(d,) for d in unneeded])
        for diff_id in unneeded:
            del self._layers[diff_id]
        return unneeded

    def pin(self, container: str, layers: Sequence[str]) -> None:
        """Inside the transaction that adds the container."""
        rows = [(container, position, layer) for position, layer in enumerate(layers)]
        try:
            self._database.executemany("INSERT INTO container_layer VALUES (?, ?, ?)", rows)
        except sqlite3.IntegrityError as error:
            raise NoSuchImage("the image has been removed meanwhile: ask again") from error

    def containers_of(self, layers: Iterable[str]) -> set[str]:
        """Ids of the containers that have one of these layers."""
        return {
            row[0]
            for layer in layers
            for row in self._database.execute("SELECT container FROM container_layer WHERE layer = ?", (layer,))
        }

    # Inside

    def _same(self, image: Image) -> Image | None:
        return next((i for i in self._images.values() if (i.owner_uid, i.id) == (image.owner_uid, image.id)), None)

    def _insert(self, image: Image) -> None:
        values = (
            image.key, image.id, image.owner_uid, int(image.shared), image.created_usec, image.imported_usec,
            image.configuration.text,
        )  # fmt: skip
        self._database.execute(
            "INSERT INTO image VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET shared = excluded.shared",
            values,
        )
        rows = [(image.key, position, layer.diff_id) for position, layer in enumerate(image.layers)]
        self._database.executemany("INSERT OR IGNORE INTO image_layer VALUES (?, ?, ?)", rows)
        self._insert_names(image)

    def _insert_names(self, image: Image) -> None:
        rows = [(image.owner_uid, r.repository, r.tag, image.key) for r in image.references]
        self._database.executemany("INSERT OR REPLACE INTO image_name VALUES (?, ?, ?, ?)", rows)

    def _take_names(self, image: Image) -> None:
        for key, other in self._images.items():
            if key != image.key and other.owner_uid == image.owner_uid:
                left = tuple(r for r in other.references if r not in image.references)
                self._images[key] = replace(other, references=left)
        self._images[image.key] = image

    def _read(self, row: tuple[str, str, int, int, int, int, str]) -> Image:
        key, identity, owner_uid, shared, created_usec, imported_usec, text = row
        layers = self._database.execute("SELECT layer FROM image_layer WHERE image = ? ORDER BY position", (key,))
        names = self._database.execute(
            "SELECT repository, tag FROM image_name WHERE image = ? ORDER BY repository, tag", (key,)
        )
        return Image(
            key, identity, owner_uid, bool(shared), created_usec, imported_usec, Configuration.parse(text),
            tuple(self._layers[diff_id] for (diff_id,) in layers), tuple(Reference(*name) for name in names),
        )  # fmt: skip

    @contextlib.contextmanager
    def _transaction(self, what: str, name: str) -> Iterator[None]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._changed()
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.IntegrityError as error:
            raise NameTaken(f"could not {what} {name}: {error}") from error
        except sqlite3.Error as error:
            raise StoreFailed(f"could not {what} {name}: {error}") from error
