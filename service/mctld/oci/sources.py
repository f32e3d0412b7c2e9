# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the host a container shows, as detached mounts: opened in our own namespaces and with our own rights."""

from __future__ import annotations

import errno
import os

from ..errors import SetupFailed
from ..kernel import constants as c
from ..kernel import mount as mounting
from . import birth, plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .birth import Child
    from .configuration import Configuration
    from .mounts import Mount
    from .undo import Undo


def open_all(asked: Configuration, child: Child, opened: Undo) -> dict[str, int]:
    """Descriptors by the names that the plan uses; `opened` closes them."""
    found = {"root": _root(asked)}
    opened.callback(os.close, found["root"])
    for number, mount in enumerate(asked.mounts):
        if mount.kind == "bind":
            found[plan.bind_name(number)] = _bind(mount, child)
            opened.callback(os.close, found[plan.bind_name(number)])
    return found


def _root(asked: Configuration) -> int:
    """With all that is mounted below it. As a slave it hears of later mounts of the host, shared only by itself."""
    try:
        directory = os.open(asked.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SetupFailed(f"open root.path {asked.root}", error.strerror) from error
    try:
        tree = mounting.clone_tree(directory, recursive=True)
    finally:
        os.close(directory)
    propagation = c.MS_SLAVE if asked.propagation == c.MS_SLAVE else c.MS_PRIVATE
    mounting.change_attributes(tree, propagation=propagation, recursive=True)
    return tree


def _bind(mount: Mount, child: Child) -> int:
    options = mount.options
    try:
        source = os.open(mount.source, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise SetupFailed(f"open {mount.source}, to be mounted on {mount.target}", error.strerror) from error
    try:
        tree = mounting.clone_tree(source, recursive=options.recursive)
    except OSError as error:
        raise SetupFailed(f"mount {mount.source} on {mount.target}", error.strerror) from error
    finally:
        os.close(source)
    try:
        _change(tree, mount, child)
    except OSError as error:
        os.close(tree)
        raise SetupFailed(f"mount {mount.source} on {mount.target}", _why(error, mount)) from error
    return tree


def _change(tree: int, mount: Mount, child: Child) -> None:
    """What is not asked for stays as the source has it; nothing is shared with the host that is not asked for."""
    options = mount.options
    propagation = options.propagation or c.MS_PRIVATE
    deep = options.recursive and (options.each_propagation or not options.propagation)
    mounting.change_attributes(tree, propagation=propagation, recursive=deep)
    if options.id_mapped or mount.maps:
        _map_ids(tree, mount, child)
    if options.added or options.removed:
        mounting.change_attributes(tree, options.added, options.removed)
    if options.each_added or options.each_removed:
        mounting.change_attributes(tree, options.each_added, options.each_removed, recursive=True)


def _map_ids(tree: int, mount: Mount, child: Child) -> None:
    if mount.maps:
        space = birth.user_namespace(mount.maps)
    else:
        space = os.open(f"/proc/{child.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        mounting.change_attributes(tree, user_namespace=space, recursive=mount.options.each_id_mapped)
    finally:
        os.close(space)


def _why(error: OSError, mount: Mount) -> str:
    if error.errno == errno.EINVAL and (mount.options.id_mapped or mount.maps):
        return f"{error.strerror}: its file system may offer no idmapped mounts"
    return str(error.strerror)
