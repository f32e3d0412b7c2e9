# SPDX-License-Identifier: GPL-3.0-or-later
"""What a start hands to the stage as descriptors: the root file system, what of the host it shows, its own files."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from .. import disk
from ..errors import ADVICE, NoSuchRootfs, SetupFailed
from ..image import ImageRoot
from ..runtime import copies, etc, planner, reaper, rootfs, users
from ..spec import HOST_GATEWAY
from . import imageroot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..mounts import HostPath
    from ..runtime.launch import Stage
    from ..spec import Spec
    from ..store import Record
    from .machinery import Machinery

    Owner = tuple[int, int] | None


COPIED = (
    "the file system of {} offers no idmapped mounts, so the directory was copied: what changes in it later does not "
    "show; on ext4, xfs and btrfs it is used as it is"
)


class Resources:
    """Descriptors by the names that the plan uses. Whoever asked for them closes them."""

    def __init__(self) -> None:
        self.descriptors: dict[str, int] = {}
        self.warnings: tuple[str, ...] = ()  # what is not as the user might think

    def take(self, more: Resources) -> None:
        self.descriptors |= more.descriptors
        self.warnings += more.warnings

    def close(self) -> None:
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.descriptors.clear()


async def prepare(machinery: Machinery, record: Record, stage: Stage, made: Resources) -> None:
    """Fills `made`. In a thread where it can take time: a file system may be slow, or gone."""
    with ExitStack() as opened:
        views: dict[Owner, int | None] = {}
        for owner in dict.fromkeys(_owners(record)):
            views[owner] = view = await _id_view(machinery, record, stage, owner)
            if view is not None:
                opened.callback(os.close, view)
        files = _etc(machinery, record)
        await _fill(machinery, record, opened, made, lambda new: _build(machinery, record, views, files, new))
    if planner.takes_sysfs(record.spec):
        await _take_sysfs(stage, made)
    program = await open_filter(machinery, record.spec)
    if program is not None:
        made.descriptors["seccomp"] = program


async def at_rest(machinery: Machinery, record: Record, made: Resources) -> tuple[tuple[int, str], ...]:
    """What of a container that does not run has files: its root, and what is shown in it, with the places for that.

    Fills `made`, also with "ids", a user namespace of its ids, where it has its own.
    """
    spec = record.spec
    if spec.security.has_user_namespace:
        made.descriptors["ids"] = await machinery.spawner.user_namespace(users.whole(record.uid_shift))
    with ExitStack() as opened:
        views: dict[Owner, int | None] = {None: None}
        if "ids" in made.descriptors:
            views[None] = own = os.dup(made.descriptors["ids"])
            opened.callback(os.close, own)
        for owner in dict.fromkeys(_owners(record)):
            if owner is not None:
                view = await machinery.spawner.user_namespace(users.only(*owner, record.uid_shift))
                opened.callback(os.close, view)
                views[owner] = view
        await _fill(machinery, record, opened, made, lambda new: _show(machinery, record, views, new))
    shown = [(made.descriptors[planner.bind_name(number)], bind.target) for number, bind in enumerate(spec.binds)]
    shown += [(made.descriptors[planner.volume_name(number)], v.target) for number, v in enumerate(spec.volumes)]
    return tuple(sorted(shown, key=lambda found: found[1].strip("/").count("/")))


async def _fill(
    machinery: Machinery, record: Record, lent: ExitStack, made: Resources, work: Callable[[Resources], None]
) -> None:
    """By a thread of the owner's. It has descriptors of its own: whoever is cancelled closes none under its hands."""

    def filled() -> Resources:
        new = Resources()
        try:
            work(new)
        except BaseException:
            new.close()
            raise
        return new

    made.take(await machinery.lanes.run(record.owner_uid, filled, lent, Resources.close))


async def check_filter(machinery: Machinery, spec: Spec) -> None:
    """Compiles it already when a container is made: InvalidArgs if it is a profile of the caller's that is wrong."""
    program = await open_filter(machinery, spec)
    if program is not None:
        os.close(program)


async def open_filter(machinery: Machinery, spec: Spec) -> int | None:
    """The compiled system call filter, where there is to be one."""
    security = spec.security
    try:
        return await machinery.filters.open(security.seccomp, frozenset(security.capabilities))
    except (OSError, RuntimeError, ImportError) as error:  # libseccomp's binding knows no finer ones
        raise SetupFailed("compile the system call filter", f"{error}; {ADVICE}") from error


async def _take_sysfs(stage: Stage, made: Resources) -> None:
    network = stage.open_namespace("net")
    try:
        made.descriptors[planner.SYSFS] = await asyncio.to_thread(rootfs.sysfs_of, network)
    finally:
        os.close(network)


def _owners(record: Record) -> Iterator[Owner]:
    yield record.spec.rootfs.owner
    yield from (bind.source.owner for bind in record.spec.binds)
    yield from (None for _ in record.spec.volumes)


async def _id_view(machinery: Machinery, record: Record, stage: Stage, owner: Owner) -> int | None:
    """A user namespace that tells an idmapped mount which ids show as which; None: all as they are."""
    if owner is not None:
        return await machinery.spawner.user_namespace(users.only(*owner, record.uid_shift))
    return stage.open_namespace("user") if record.spec.security.has_user_namespace else None


def _etc(machinery: Machinery, record: Record) -> Callable[[], dict[str, str]]:
    """Its own files there. Called in a thread, since it reads the host's."""
    connected = machinery.sharing.whose_network(record)
    addresses = [str(lease.address) for lease in machinery.networks.leases(connected)]
    gateway = names = machinery.networks.name_server(connected)
    if connected.spec.networking.host:
        gateway = "127.0.0.1"  # its loopback is the host's
    if not gateway and any(address == HOST_GATEWAY for _, address in record.spec.hosts):
        raise SetupFailed("write /etc/hosts", f"{HOST_GATEWAY} needs a network with an address of the host's")
    if connected is not record and record.spec.name_servers:
        names = ""  # the one there knows nothing of what this one wants to be asked
    return lambda: etc.contents(record.spec, etc.host_resolv_conf(), addresses, names, gateway)


def _build(
    machinery: Machinery,
    record: Record,
    views: Mapping[Owner, int | None],
    files: Callable[[], dict[str, str]],
    made: Resources,
) -> None:
    spec, directory = record.spec, f"{machinery.settings.containers}/{record.id}"
    _show(machinery, record, views, made)
    try:
        made.descriptors |= etc.write(f"{directory}/etc", files(), record.uid_shift, read_only=spec.read_only)
        if spec.devices:
            given = machinery.staging.device_nodes(spec.devices, record.uid_shift)
            made.descriptors |= {planner.device_name(number): node for number, node in enumerate(given)}
        if spec.init:
            made.descriptors[planner.INIT] = reaper.open_reaper()
    except OSError as error:
        raise SetupFailed(f"build the root file system of {spec.rootfs.path!r}", _explain(error, directory)) from error


def _show(machinery: Machinery, record: Record, views: Mapping[Owner, int | None], made: Resources) -> None:
    """The root, and the directories and volumes that lie in it."""
    spec, directory = record.spec, f"{machinery.settings.containers}/{record.id}"
    try:
        made.descriptors["root"] = _root(machinery, record, directory, views[spec.rootfs.owner], made)
        for number, bind in enumerate(spec.binds):
            view = views[bind.source.owner]
            made.descriptors[planner.bind_name(number)] = _host_mount(
                bind.source, view, read_only=bind.read_only, recursive=bind.recursive
            )
        for number, volume in enumerate(spec.volumes):
            mounted = machinery.volumes.mount(volume, made.descriptors["root"], views[None])
            made.descriptors[planner.volume_name(number)] = mounted
    except OSError as error:
        raise SetupFailed(f"build the root file system of {spec.rootfs.path!r}", _explain(error, directory)) from error


def _root(machinery: Machinery, record: Record, directory: str, view: int | None, made: Resources) -> int:
    """One detached mount: the authorized directory, idmapped, below the container's own layer."""
    asked = record.spec.rootfs
    if isinstance(asked, ImageRoot):
        return imageroot.open_root(machinery, record, asked, directory, view)
    with ExitStack() as opened:
        lower = rootfs.open_lower(asked)
        opened.callback(os.close, lower)
        rootfs.make_layers(directory, lower, record.uid_shift, owned=asked.owner is not None)
        mounted = lower_mount(record, lower, directory, view, made)
        opened.callback(os.close, mounted)
        return machinery.staging.overlay([mounted], directory, volatile=record.spec.auto_remove)


def lower_mount(record: Record, lower: int, directory: str, view: int | None, made: Resources) -> int:
    """Shown with the container's ids; where the file system offers no idmapped mounts, a copy on ours is."""
    try:
        return rootfs.lower_mount(lower, view)
    except OSError as error:
        if view is None or error.errno != errno.EINVAL:
            raise
    copy = copies.copy_of(lower, directory, record.spec.rootfs.owner)
    made.warnings += (COPIED.format(record.spec.rootfs.path),)
    try:
        return rootfs.lower_mount(copy, view)
    finally:
        os.close(copy)


def _host_mount(source: HostPath, view: int | None, *, read_only: bool, recursive: bool) -> int:
    try:
        opened = rootfs.open_pinned(source)
    except NoSuchRootfs as error:
        raise SetupFailed(f"show {source.path}", error) from error
    try:
        return rootfs.host_mount(opened, view, read_only=read_only, recursive=recursive)
    except OSError as error:
        raise SetupFailed(f"show {source.path}", _explain(error, source.path)) from error
    finally:
        os.close(opened)


def _explain(error: OSError, directory: str) -> str:
    if error.errno in disk.OF_A_DISK:
        return disk.told(error, directory)
    text = f"{error.strerror}" + (f" ({error.filename!r})" if error.filename else "")
    if "mount_setattr" in str(error.strerror):
        return f"{text}: its file system does not offer idmapped mounts; ext4, xfs and btrfs do"
    return f"{text}; {ADVICE}" if error.errno in (errno.ENODEV, errno.ENOSYS) else text
