# SPDX-License-Identifier: GPL-3.0-or-later
"""org.mctl1.Manager and the ObjectManager, at /org/mctl1."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dbus_next.signature import Variant

from .. import VERSION, credential, device, mounts
from ..bounds import shown
from ..dangers import dangers
from ..draft import drafted
from ..errors import InvalidArgs, NoSuchContainer
from ..lifecycle.lanes import Lanes
from . import ability, container, diskuse, network, openings, options, sharing, stats
from . import exec as bus_exec
from .container import ContainerObject, container_details, spec_details
from .exec import ExecObject
from .images import ImageManager
from .listing import CHOICE, FILTER, Listing
from .making import completed
from .network import NetworkObject, link_details
from .paths import ROOT, container_path, exec_path, network_path
from .question import CREATE, CREATE_PRIVILEGED, Question
from .remembered import Remembered
from .standard import OBJECT_MANAGER
from .target import BASIC

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from ..credential import Credentials
    from ..device import Device
    from ..draft import Draft
    from ..image import ImageRoot
    from ..lifecycle.events import Exit
    from ..lifecycle.logs import EventQuery
    from ..networking import Network
    from ..spec import Rootfs, Spec
    from .contract import Contract, Method, Property
    from .engine import Checkup, Container, Exec, Registry
    from .openings import Opened
    from .question import Call
    from .signals import Herald
    from .visible import Visible

INTERFACE = "org.mctl1.Manager"


class Manager(ImageManager):
    def __init__(
        self,
        contract: Contract,
        registry: Registry,
        checkup: Checkup,
        visible: Visible,
        herald: Herald,
        judge: ability.Judge,
    ) -> None:
        interfaces = [contract[name] for name in (INTERFACE, OBJECT_MANAGER, *BASIC)]
        super().__init__(ROOT, interfaces, contract, registry, visible)
        self._container = contract[container.INTERFACE]
        self._exec = contract[bus_exec.INTERFACE]
        self._network = contract[network.INTERFACE]
        self._registry = registry
        self._checkup = checkup
        self._herald = herald
        self._judge = judge
        self._remembered = Remembered(self._read)
        self._lanes = Lanes()

    def question(self, call: Call, method: Method, args: Sequence[object]) -> Question | Awaitable[Question]:
        match method.name, args:
            case "CreateContainer", [str(name), dict(given), int(flags)]:
                options.check_flags(flags, {})
                return self._creation(call, name, options.parse(given, options.CREATION), "create")
            case "RunContainer", [str(name), dict(given), int(flags)]:
                options.check_flags(flags, {options.ATTACH: "attach"})
                return self._run(call, name, options.parse(given, options.RUN), attach=bool(flags & options.ATTACH))
        return super().question(call, method, args)

    def ask_own(self, call: Call, method: Method, args: Sequence[object]) -> Question:
        match method.name, args:
            case "GetContainer", [str(key)]:
                return self._lookup(call, method, key)
            case "StartInUnit", [str(key)]:
                effect = "start the container $(container) as a service"
                return replace(self._lookup(call, method, key), verb="start", effect=effect)
            case "WaitContainer", [str(key)]:
                return self._wait(call, method, key)
            case "WaitReady", [str(key)]:
                return self._lookup(call, method, key)
            case "ListContainers", [dict(given), int(flags)]:
                options.check_flags(flags, {})
                wanted = Listing.parse(options.parse(given, FILTER), self._container.properties)
                return self.ask(call, (method.action,), (wanted,), "list")
            case "GetStats", [dict(given), int(flags)]:
                options.check_flags(flags, {})
                chosen = Listing.parse(options.parse(given, CHOICE), self._container.properties)
                return self.ask(call, (method.action,), (chosen,), "list")
            case "OpenEvents", [dict(given), int(flags)]:
                options.check_flags(flags, {})
                return self.ask(
                    call, (method.action,), (options.event_query(options.parse(given, options.EVENTS)),), "list"
                )
            case "CreateNetwork", [str(name), dict(given), int(flags)]:
                options.check_flags(flags, {})
                return self._network_creation(call, method, name, options.parse(given, options.NETWORK))
            case "ListNetworks", [int(flags)]:
                options.check_flags(flags, {})
                return self.ask(call, (method.action,), (), "list")
            case "Can", [list(names)]:
                return Question((method.action,), ability.wanted(names, (*ability.MAKING, ability.PRIVILEGED)), "can")
        return super().ask_own(call, method, args)

    async def children(self, call: Call) -> list[str]:
        del call
        return ["container", "exec", "image", "job", "network", "volume"]

    async def create_container(self, call: Call, spec: Spec, secrets: Credentials) -> tuple[str, str]:
        made = await self._registry.create(spec, call.uid, secrets)
        return container_path(made.name), made.id

    async def run_container(
        self,
        call: Call,
        spec: Spec,
        secrets: Credentials,
        stdin: int | None,
        attach: bool,  # noqa: FBT001 (as in the question)
        window: tuple[int, int],
    ) -> tuple[str, str, list[int], list[str]]:
        opened = None if stdin is None else call.fds.peek(stdin)
        made, streams = await self._registry.run(spec, call.uid, secrets, stdin=opened, attach=attach, window=window)
        return container_path(made.name), made.id, list(streams), list(made.warnings)

    def get_container(self, call: Call, key: str) -> str:
        return container_path(self._find(call, key).name)

    async def start_in_unit(self, call: Call, key: str) -> None:
        await self._find(call, key).start_in_unit()

    async def list_containers(self, call: Call, wanted: Listing) -> Sequence[Mapping[str, Variant]]:
        found = [c for c in await self._visible.all(call) if wanted.has(c)]
        return self._remembered.of(found, wanted.properties)

    async def get_stats(self, call: Call, chosen: Listing) -> list[dict[str, Variant]]:
        running = [c for c in await self._visible.all(call) if c.control_group and chosen.has(c)]
        used = await self._registry.usage(running)
        return [stats.told(c, usage) for c, usage in zip(running, used, strict=True) if usage]

    async def get_disk_usage(self, call: Call) -> list[dict[str, Variant]]:
        containers = await self._visible.all(call)
        volumes = [volume for volume in self._volumes.all() if volume.visible_to(call.uid)]
        sizes = await self._registry.disk_use(containers, volumes, uid=call.uid)
        kept = {uid: size for uid, size in (await self._transfers.kept()).items() if call.uid in (0, uid)}
        return diskuse.told(containers, volumes, sizes, kept)

    async def wait_container(self, call: Call, key: str) -> tuple[str, int]:
        end = await self._end(call, key)
        return end.how, end.status

    async def wait_ready(self, call: Call, key: str) -> bool:
        return await self._find(call, key).wait_ready()

    async def create_network(self, call: Call, draft: Draft) -> str:
        made = await self._registry.networks.create(draft, call.uid)
        return network_path(made.name)

    def list_networks(self, call: Call) -> list[dict[str, Variant]]:
        return [self._network_values(network) for network in self._visible.networks(call)]

    async def open_events(self, call: Call, query: EventQuery) -> int:
        everybody = await self._visible.everything(call)
        return self._registry.open_events(
            replace(query, owner_uid=None if everybody else call.uid), reader_uid=call.uid
        )

    async def check(self, call: Call) -> list[dict[str, Variant]]:
        del call
        return [
            {
                "Name": Variant("s", finding.name),
                "Verdict": Variant("s", finding.verdict.value),
                "Found": Variant("s", finding.found),
                "Meaning": Variant("s", finding.meaning),
                "Remedy": Variant("s", finding.remedy),
            }
            for finding in await self._checkup.findings()
        ]

    async def can(self, call: Call, *names: str) -> ability.Answers:
        questions = ((name, ability.making(call, name)) for name in names)
        return await ability.answers(self._judge, call, questions, lambda _: ("", ""))

    async def subscribe(self, call: Call) -> None:
        await self._herald.subscribe(call)

    def unsubscribe(self, call: Call) -> None:
        self._herald.unsubscribe(call.sender)

    async def get_managed_objects(self, call: Call) -> dict[str, dict[str, dict[str, Variant]]]:
        await self._herald.subscribe(call)
        rows = self._volume_rows(call) | self._image_rows(await self._visible.images(call))
        latest = await self._lists.of(call, rows)
        found = {container_path(c.name): self.interfaces_of(c) for c in await self._visible.all(call)}
        found |= {
            network_path(n.name): {self._network.name: self._network_values(n)} for n in self._visible.networks(call)
        }
        found |= {exec_path(e.id): self._interfaces_of_exec(e) for e in await self._visible.execs(call)}
        images = self._image_rows(await self._visible.images(call))
        found |= {path: {self._volume.name: latest(path, row)} for path, row in self._volume_rows(call).items()}
        return found | {path: {self._image.name: latest(path, row)} for path, row in images.items()}

    def interfaces_of(self, found: Container) -> dict[str, dict[str, Variant]]:
        """As ObjectManager tells of it."""
        (values,) = self._remembered.of((found,), tuple(self._container.properties.values()))
        return {self._container.name: values}

    def _interfaces_of_exec(self, found: Exec) -> dict[str, dict[str, Variant]]:
        there = ExecObject(self._registry, [self._exec], found.id, found)
        return {self._exec.name: there.values(tuple(self._exec.properties.values()))}

    def _network_values(self, found: Network) -> dict[str, Variant]:
        there = NetworkObject(self._registry.networks, [self._network], found.name, found)
        return there.values(tuple(self._network.properties.values()))

    def version(self) -> str:
        return VERSION

    def features(self) -> list[str]:
        return list(self._checkup.features)

    def _read(self, found: Container, properties: Sequence[Property]) -> list[tuple[str, str, Any]]:
        return ContainerObject(self._registry, [self._container], found.name, found).read(properties)

    async def _run(self, call: Call, name: str, values: Mapping[str, Any], *, attach: bool) -> Question:
        stdin, window = openings.checked_stdin(call, values), options.terminal_size(values)
        return await self._creation(call, name, values, "run", stdin, attach, window)

    async def _creation(self, call: Call, name: str, values: Mapping[str, Any], verb: str, *more: object) -> Question:
        credential.check_names(tuple(name for name, _ in values.get("Credentials", ())))
        mounts.check_number(len(values.get("Mounts", ())))  # before each is looked at
        device.check_number(len(values.get("Devices", ())))
        opened = await self._opened(call, values)
        rootfs, values = self._root(call, values, opened.rootfs)
        values, shared = sharing.resolved(call, values, self._visible)
        secrets, found = opened.secrets, (rootfs, opened.sources, opened.devices)
        spec = options.spec(name or self._registry.generate_name(rootfs.path), values, *found)
        origin = "image" if "image_digest" in (details := spec_details(spec, shared)) else "directory"
        granted = " that has $(dangers)" if dangers(spec) or shared else ""
        return Question(
            (CREATE_PRIVILEGED if granted else CREATE,),
            (spec, secrets, *more),
            verb,
            f"{verb} a container from the {origin} $(image){granted}",
            details={"container": spec.name, "owner": str(call.uid), **details},
        )

    async def look_at_devices(self, call: Call, given: Sequence[tuple[int, str, str]]) -> tuple[Device, ...]:
        return (await self._opened(call, {"Devices": given})).devices

    async def _opened(self, call: Call, values: Mapping[str, Any]) -> Opened:
        """By copies: the message's descriptors are closed as soon as its caller gives up."""
        if not call.fds:
            return openings.opened(call.fds, call, values)
        copies = call.fds.copied()
        lent = ExitStack()
        lent.callback(copies.close)
        return await self._lanes.run(call.uid, lambda: openings.opened(copies, call, values), lent, lambda _: None)

    def _network_creation(self, call: Call, method: Method, name: str, values: Mapping[str, Any]) -> Question:
        asked = drafted(name, call.uid, values)
        on = " on the host's link $(parent)" if asked.macvlan else ""
        return Question(
            (method.action,),
            (asked,),
            "create-network",
            f"make the network $(network){on}",
            details={
                "network": name,
                "owner": str(call.uid),
                "subnet": str(asked.subnet or ""),
                **link_details(asked.macvlan),
            },
        )

    def _root(
        self, call: Call, values: Mapping[str, Any], opened: Rootfs | None
    ) -> tuple[Rootfs | ImageRoot, Mapping[str, Any]]:
        """What the container is made from, and the options with what an image says for those not given."""
        if "Image" in values:
            if opened:
                raise InvalidArgs("options Rootfs and Image are both given: a container is made from one of them")
            root, configuration = self._images.root(call.uid, values["Image"])
            return root, completed(values, configuration)
        options.required(values, "Rootfs", "Command")
        assert opened is not None
        if "Entrypoint" in values:
            raise InvalidArgs("option Entrypoint is for images: a directory has none, Command says it all")
        return opened, values

    def _lookup(self, call: Call, method: Method, key: str) -> Question:
        found = self._visible.find(call.uid, key)
        return Question(
            (method.action,),
            (key,),
            "inspect",
            "see the container $(container)",
            key,
            found.owner_uid if found else None,
            container_details(found) if found else {},
            found,
            lambda: self._visible.find(call.uid, key),
        )

    def _wait(self, call: Call, method: Method, key: str) -> Question:
        """Also for what has been removed. Its owner is what must not change meanwhile: it may well end just now."""
        found = self._visible.find(call.uid, key)
        owner = self._owner(call, key)
        details = container_details(found) if found else {}
        return Question(
            (method.action,),
            (key,),
            "wait",
            "wait for the container $(container)",
            key,
            owner,
            details,
            owner,
            lambda: self._owner(call, key),
        )

    def _owner(self, call: Call, key: str) -> int | None:
        if found := self._visible.find(call.uid, key):
            return found.owner_uid
        departed = self._registry.departed(key)
        return departed[0] if departed else None

    async def _end(self, call: Call, key: str) -> Exit:
        departed = self._registry.departed(key)
        if departed and not self._visible.find(call.uid, key):
            return departed[1]
        return await self._find(call, key).wait()

    def _find(self, call: Call, key: str) -> Container:
        found = self._visible.find(call.uid, key)
        if found is None:
            raise NoSuchContainer(f"there is no container {shown(key)}")
        return found
