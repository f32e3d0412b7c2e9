# SPDX-License-Identifier: GPL-3.0-or-later
"""Which object is at which path: nothing is exported, every call looks anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UnknownObject
from . import container, logcontrol, manager, network
from . import exec as bus_exec
from . import image as bus_image
from . import job as bus_job
from . import volume as bus_volume
from .container import ContainerObject
from .exec import ExecObject
from .image import ImageObject
from .job import JobObject
from .logcontrol import LogControlObject
from .network import NetworkObject
from .paths import CONTAINERS, EXECS, IMAGES, JOBS, NETWORKS, ROOT, VOLUMES, decode_label, encode_label
from .standard import LOG_CONTROL, OBJECT_MANAGER, PEER
from .target import BASIC, Target
from .volume import VolumeObject

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from .ability import Judge
    from .contract import Contract, Interface, Method
    from .engine import LogControl, Registry
    from .manager import Manager
    from .question import Call, Question
    from .visible import Visible

_ABOVE = {"/": ("org",), "/org": ("freedesktop", "mctl1"), "/org/freedesktop": ("LogControl1",)}


class Node(Target):
    """A path above the objects: it only tells what lies below."""

    def __init__(self, path: str, interfaces: Sequence[Interface], below: Sequence[str]) -> None:
        super().__init__(path, interfaces)
        self._below = below

    async def children(self, call: Call) -> list[str]:
        del call
        return list(self._below)


class Containers(Target):
    """The node above the containers."""

    def __init__(self, interfaces: Sequence[Interface], visible: Visible) -> None:
        super().__init__(CONTAINERS, interfaces)
        self._visible = visible

    async def children(self, call: Call) -> list[str]:
        return sorted(encode_label(c.name) for c in await self._visible.all(call))


class Execs(Target):
    """The node above the commands executed in containers."""

    def __init__(self, interfaces: Sequence[Interface], visible: Visible) -> None:
        super().__init__(EXECS, interfaces)
        self._visible = visible

    async def children(self, call: Call) -> list[str]:
        return sorted(encode_label(e.id) for e in await self._visible.execs(call))


class Networks(Target):
    """The node above the networks."""

    def __init__(self, interfaces: Sequence[Interface], visible: Visible) -> None:
        super().__init__(NETWORKS, interfaces)
        self._visible = visible

    async def children(self, call: Call) -> list[str]:
        return sorted(encode_label(network.name) for network in self._visible.networks(call))


class Images(Target):
    """The node above the images."""

    def __init__(self, interfaces: Sequence[Interface], visible: Visible) -> None:
        super().__init__(IMAGES, interfaces)
        self._visible = visible

    async def children(self, call: Call) -> list[str]:
        return sorted(encode_label(i.key) for i in await self._visible.images(call))


class Jobs(Target):
    """The node above the jobs."""

    def __init__(self, interfaces: Sequence[Interface], registry: Registry) -> None:
        super().__init__(JOBS, interfaces)
        self._registry = registry

    async def children(self, call: Call) -> list[str]:
        return sorted(encode_label(j.id) for j in self._registry.transfers.all() if call.uid in (0, j.owner_uid))


class Volumes(Target):
    """The node above the volumes."""

    def __init__(self, interfaces: Sequence[Interface], registry: Registry) -> None:
        super().__init__(VOLUMES, interfaces)
        self._registry = registry

    async def children(self, call: Call) -> list[str]:
        return sorted(encode_label(v.id) for v in self._registry.volumes.all() if v.visible_to(call.uid))


class Nothing(Target):
    """A path without object: there are no secrets here, only Peer answers (D-Bus specification)."""

    def question(self, call: Call, method: Method, args: Sequence[object]) -> Question | Awaitable[Question]:
        if method.interface == PEER:
            return super().question(call, method, args)
        raise UnknownObject(f"there is no object {self.path}")


class Objects:
    def __init__(
        self,
        contract: Contract,
        registry: Registry,
        visible: Visible,
        manager: Manager,
        judge: Judge,
        log_control: LogControl,
    ) -> None:
        self._log_control = LogControlObject(contract, log_control)
        self._registry = registry
        self._judge = judge
        self._basic = [contract[name] for name in BASIC]
        self._container = [contract[container.INTERFACE], *self._basic]
        self._exec = [contract[bus_exec.INTERFACE], *self._basic]
        self._network = [contract[network.INTERFACE], *self._basic]
        self._image = [contract[bus_image.INTERFACE], *self._basic]
        self._volume = [contract[bus_volume.INTERFACE], *self._basic]
        self._job = [contract[bus_job.INTERFACE], *self._basic]
        self._manager = manager
        self._above = {
            CONTAINERS: Containers(self._basic, visible),
            EXECS: Execs(self._basic, visible),
            NETWORKS: Networks(self._basic, visible),
            IMAGES: Images(self._basic, visible),
            JOBS: Jobs(self._basic, registry),
            VOLUMES: Volumes(self._basic, registry),
        }

    def find(self, path: str) -> Target:
        if path == ROOT:
            return self._manager
        if path == logcontrol.PATH:
            return self._log_control
        if path in self._above:
            return self._above[path]
        if path in _ABOVE:
            return Node(path, self._basic, _ABOVE[path])
        parent, _, label = path.rpartition("/")
        if parent in self._above:
            decoded = decode_label(label)
            name = label if decoded is None else decoded
            if parent == EXECS:
                return ExecObject(self._registry, self._exec, name, subscribe=self._manager.subscribe)
            if parent == NETWORKS:
                return NetworkObject(self._registry.networks, self._network, name)
            if parent == VOLUMES:
                return VolumeObject(self._registry.volumes, self._volume, name)
            if parent == JOBS:
                return JobObject(self._registry.transfers, self._job, name)
            if parent == IMAGES:
                images = self._registry.images
                return ImageObject(images, self._image, name, subscribe=self._manager.subscribe)
            subscribe = self._manager.subscribe
            return ContainerObject(
                self._registry, self._container, name,
                subscribe=subscribe, judge=self._judge, look=self._manager.look_at_devices,
            )  # fmt: skip
        return Nothing(path, self._basic)


def check(contract: Contract) -> None:
    """Raises ContractError where a member has no handler."""
    contract[container.INTERFACE].check(ContainerObject)
    contract[bus_exec.INTERFACE].check(ExecObject)
    contract[network.INTERFACE].check(NetworkObject)
    contract[bus_image.INTERFACE].check(ImageObject)
    contract[bus_job.INTERFACE].check(JobObject)
    contract[bus_volume.INTERFACE].check(VolumeObject)
    contract[LOG_CONTROL].check(LogControlObject)
    contract[manager.INTERFACE].check(manager.Manager)
    contract[OBJECT_MANAGER].check(manager.Manager)
    for name in BASIC:
        contract[name].check(Target)
