# SPDX-License-Identifier: GPL-3.0-or-later
"""The root file system of a container that was made from an image."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ..errors import SetupFailed
from ..runtime import directories, rootfs

if TYPE_CHECKING:
    from ..image import ImageRoot
    from ..store import Record
    from .machinery import Machinery


def open_trees(machinery: Machinery, image: ImageRoot) -> list[int]:
    """The layers' root directories, the lowest first, for the caller to close."""
    try:
        return machinery.images.layers.open_trees(image.layers)
    except FileNotFoundError as error:
        missing = f"a layer is missing on the disk: {error.filename}"
        raise SetupFailed(f"use the image {image.path}", missing) from error


def open_root(machinery: Machinery, record: Record, image: ImageRoot, directory: str, view: int | None) -> int:
    """One detached mount: the image's layers, idmapped, below the container's own. The working directory is there."""
    with ExitStack() as opened:
        trees = open_trees(machinery, image)
        for tree in trees:
            opened.callback(os.close, tree)
        rootfs.make_layers(directory, trees[image.root_layer], record.uid_shift, owned=False)
        lowers = []
        for tree in reversed(trees):
            lowers.append(rootfs.lower_mount(tree, view))
            opened.callback(os.close, lowers[-1])
        mounted = machinery.staging.overlay(lowers, directory, volatile=record.spec.auto_remove)
    try:
        directories.make_directory(mounted, record.spec.working_directory, record.uid_shift)
    except NotADirectoryError:
        pass  # entering it will say so
    except BaseException:
        os.close(mounted)
        raise
    return mounted
