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
from .errors import LimitReached, NameTaken, NoSuchImage, StoreFailed
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
# The column diff_id is the layer's key; here is its own digest, where that is another.
SCHEMA_VARIANTS = "ALTER TABLE layer ADD COLUMN archive TEXT NOT NULL DEFAULT '';"
SCHEMA_MADE_HERE = "ALTER TABLE image ADD COLUMN made_here INTEGER NOT NULL DEFAULT 0;"
NAMES_OF_IMAGE = 64
NAMES_OF_OWNER = 4_096
_IMAGE = "key, id, owner_uid, shared, created_usec, imported_usec, configuration, made_here"
_NEEDED = """
    EXISTS (SELECT 1 FROM image_layer WHERE layer = diff_id)
    OR EXISTS (SELECT 1 FROM container_layer WHERE layer = diff_id)
"""


class Catalog:
    """Works on the store's connection; what it has told of images is kept, since reading one means parsing it."""

    def __init__(
        self,
        database: sqlite3.Connection,
        changed: Callable[[], None] = lambda: None,
        told: Callable[[sqlite3.Error], str] = str,
    ) -> None:
        """`changed` is called with each change, before it is for good; `told` puts a failure into words."""
        self._database = database
        self._changed = changed
        self._told = told
        self._images: dict[str, Image] = {}
        self._layers = {
            key: Layer(archive or key, size, entries, bool(has_root), key if archive else "")
            for key, size, entries, has_root, archive in database.execute(
                "SELECT diff_id, size, entries, has_root, archive FROM layer"
            )
        }
        for row in database.execute(f"SELECT {_IMAGE} FROM image ORDER BY imported_usec").fetchall():
            self._images[row[0]] = self._read(row)

    def all(self) -> tuple[Image, ...]:
        return tuple(self._images.values())

    def get(self, key: str) -> Image | None:
        return self._images.get(key)

    def layer(self, key: str) -> Layer | None:
        return self._layers.get(key)

    def layers(self) -> tuple[Layer, ...]:
        return tuple(self._layers.values())

    def add(self, image: Image) -> Image:
        """With its layers, and its names, which others lose. One that its owner has already gets the names too, and
        these layers: the same archives, but their directories may be as those of other layers below.
        """
        there = self._same(image)
        new = tuple(r for r in image.references if there is None or r not in there.references)
        self._check_names(there or image, new)
        if there is not None:
            image = replace(
                there,
                layers=image.layers,
                shared=there.shared or image.shared,
                references=(*there.references, *new),
                made_here=there.made_here or image.made_here,
            )
        with self._transaction("store the image", image.display_name):
            for layer in image.layers:
                archive = layer.diff_id if layer.variant else ""
                values = (layer.key, layer.size, layer.entries, int(layer.has_root), archive)
                self._database.execute(
                    "INSERT OR IGNORE INTO layer (diff_id, size, entries, has_root, archive) VALUES (?, ?, ?, ?, ?)",
                    values,
                )
            self._insert(image)
            self._insert_names(image, new)
        self._layers |= {layer.key: layer for layer in image.layers if layer.key not in self._layers}
        self._take_names(image)
        return image

    def rename(self, image: Image, references: Sequence[Reference]) -> Image:
        """These are its names from now on; others lose them."""
        changed = replace(image, references=tuple(references))
        with self._transaction("name the image", image.display_name):
            self._database.executemany(
                "DELETE FROM image_name WHERE image = ? AND repository = ? AND tag = ?",
                [(image.key, r.repository, r.tag) for r in image.references if r not in changed.references],
            )
            self._insert_names(changed, [r for r in changed.references if r not in image.references])
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
        """Keys of layers that neither an image nor a container has, nor `kept` names; they are forgotten."""
        found = [row[0] for row in self._database.execute(f"SELECT diff_id FROM layer WHERE NOT ({_NEEDED})")]
        unneeded = [key for key in found if key not in set(kept)]
        if unneeded:
            with self._transaction("forget layers", f"{len(unneeded)}"):
                self._database.executemany("DELETE FROM layer WHERE diff_id = ?", [(key,) for key in unneeded])
        for key in unneeded:
            del self._layers[key]
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
            image.configuration.text, int(image.made_here),
        )  # fmt: skip
        self._database.execute(
            f"INSERT INTO image ({_IMAGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " shared = excluded.shared, made_here = excluded.made_here",
            values,
        )
        self._database.execute("DELETE FROM image_layer WHERE image = ?", (image.key,))
        rows = [(image.key, position, layer.key) for position, layer in enumerate(image.layers)]
        self._database.executemany("INSERT INTO image_layer VALUES (?, ?, ?)", rows)

    def _check_names(self, image: Image, new: Sequence[Reference]) -> None:
        """Of users; root has as many as it likes. Each change writes a copy of all names."""
        if not new or image.owner_uid == 0:
            return
        have = len(set(image.references) - set(new))
        if have + len(new) > NAMES_OF_IMAGE:
            raise LimitReached(
                f"the image {image.display_name} would have {have + len(new)} names, and may have {NAMES_OF_IMAGE}:"
                " take some away, `mctl rmi NAME`"
            )
        owned = sum(len(i.references) for i in self._images.values() if i.owner_uid == image.owner_uid)
        if owned + len(new) > NAMES_OF_OWNER:
            raise LimitReached(
                f"the images of user {image.owner_uid} have {owned} names, and may have {NAMES_OF_OWNER}: remove some"
            )

    def _insert_names(self, image: Image, references: Sequence[Reference]) -> None:
        rows = [(image.owner_uid, r.repository, r.tag, image.key) for r in references]
        self._database.executemany("INSERT OR REPLACE INTO image_name VALUES (?, ?, ?, ?)", rows)

    def _take_names(self, image: Image) -> None:
        for key, other in self._images.items():
            if key != image.key and other.owner_uid == image.owner_uid:
                left = tuple(r for r in other.references if r not in image.references)
                self._images[key] = replace(other, references=left)
        self._images[image.key] = image

    def _read(self, row: tuple[str, str, int, int, int, int, str, int]) -> Image:
        key, identity, owner_uid, shared, created_usec, imported_usec, text, made_here = row
        layers = self._database.execute("SELECT layer FROM image_layer WHERE image = ? ORDER BY position", (key,))
        names = self._database.execute(
            "SELECT repository, tag FROM image_name WHERE image = ? ORDER BY repository, tag", (key,)
        )
        return Image(
            key, identity, owner_uid, bool(shared), created_usec, imported_usec, Configuration.parse(text),
            tuple(self._layers[layer] for (layer,) in layers), tuple(Reference(*name) for name in names),
            bool(made_here),
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
            raise StoreFailed(f"could not {what} {name}: {self._told(error)}") from error
