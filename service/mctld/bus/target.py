# SPDX-License-Identifier: GPL-3.0-or-later
"""An object on the bus: what every object answers, and how it answers for its own interfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbus_next.signature import Variant

from ..bounds import shown
from ..errors import InvalidArgs, MctlError, PropertyReadOnly, UnknownInterface, UnknownMethod, UnknownProperty
from .question import PUBLIC, Question
from .standard import INTROSPECTABLE, PEER, PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from .contract import Interface, Method, Property
    from .question import Call

MACHINE_ID = "/etc/machine-id"
_HEAD = """\
<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
"""


class Target:
    """Handlers are methods named as Contract says; they take the call and the question's arguments."""

    def __init__(self, path: str, interfaces: Sequence[Interface]) -> None:
        self.path = path
        self.interfaces = {i.name: i for i in interfaces}

    def method(self, interface: str, name: str) -> Method:
        """A message may leave the interface out (D-Bus specification): then the first with that method counts."""
        if interface and interface not in self.interfaces:
            raise UnknownInterface(f"{self.path} has no interface {shown(interface)}")
        for candidate in [self.interfaces[interface]] if interface else self.interfaces.values():
            if name in candidate.methods:
                return candidate.methods[name]
        raise UnknownMethod(f"{self.path} has no method {shown(f'{interface}.{name}' if interface else name)}")

    def question(self, call: Call, method: Method, args: Sequence[object]) -> Question | Awaitable[Question]:
        """Validates the arguments without side effects, and says what the call would do. Awaited: in a thread."""
        match method.interface, method.name, args:
            case "org.freedesktop.DBus.Properties", "Get", [str(interface), str(name)]:
                wanted = self._property(interface, name)
                return self.ask(call, (wanted.action,), (wanted,), "inspect")
            case "org.freedesktop.DBus.Properties", "Set", [str(interface), str(name), Variant() as value]:
                return self._change(call, self._property(interface, name), value)
            case "org.freedesktop.DBus.Properties", "GetAll", [str(interface)]:
                all_wanted = self._properties(interface)
                actions = tuple(dict.fromkeys(p.action for p in all_wanted))
                return self.ask(call, actions, (all_wanted,), "inspect")
            case "org.freedesktop.DBus.Introspectable", "Introspect", []:
                return self.ask(call, self.introspection_actions(), (), "inspect")
        return self.ask_own(call, method, args)

    def ask(self, call: Call, actions: tuple[str, ...], args: tuple[object, ...], verb: str) -> Question:
        return Question(actions, args, verb, f"{verb} {self.path}")

    def ask_own(self, call: Call, method: Method, args: Sequence[object]) -> Question:
        """The question behind a method of the object's own interfaces."""
        return self.ask(call, (method.action,), tuple(args), method.handler.replace("_", " "))

    def check_value(self, wanted: Property, value: object) -> None:
        """Whether the value may be set. Raises InvalidArgs."""

    def _change(self, call: Call, wanted: Property, value: Variant) -> Question:
        if wanted.access == "read":
            raise PropertyReadOnly(f"{wanted} cannot be set")
        if value.signature != wanted.type:
            raise InvalidArgs(f"{wanted} has the type {wanted.type!r}, but {value.signature!r} was given")
        self.check_value(wanted, value.value)
        return self.ask(call, (wanted.set_action,), (wanted, value.value), "set")

    def introspection_actions(self) -> tuple[str, ...]:
        return (PUBLIC,)

    async def children(self, call: Call) -> list[str]:
        """Names of the nodes below that the caller may know of."""
        return []

    def values(self, properties: Sequence[Property]) -> dict[str, Variant]:
        return {name: Variant(type_, value) for name, type_, value in self.read(properties)}

    def read(self, properties: Sequence[Property]) -> list[tuple[str, str, Any]]:
        """Names, types and values."""
        return [(p.name, p.type, getattr(self, p.handler)()) for p in properties]

    def ping(self, call: Call) -> None:
        pass

    def get_machine_id(self, call: Call) -> str:
        try:
            with open(MACHINE_ID, encoding="ascii") as stream:
                return stream.read().strip()
        except OSError as error:
            raise MctlError(f"this machine has no id: {error}") from error

    async def introspect(self, call: Call) -> str:
        interfaces = "\n".join(i.text for i in self.interfaces.values())
        nodes = "".join(f'  <node name="{name}"/>\n' for name in await self.children(call))
        return f"{_HEAD}<node>\n{interfaces}\n{nodes}</node>\n"

    def get(self, call: Call, wanted: Property) -> Variant:
        return self.values([wanted])[wanted.name]

    def set(self, call: Call, wanted: Property, value: object) -> None:
        del call
        getattr(self, f"set_{wanted.handler}")(value)

    async def get_all(self, call: Call, wanted: Sequence[Property]) -> dict[str, Variant]:
        return self.values(wanted)

    def _property(self, interface: str, name: str) -> Property:
        for candidate in self._properties(interface):
            if candidate.name == name:
                return candidate
        raise UnknownProperty(f"{self.path} has no property {shown(f'{interface}.{name}' if interface else name)}")

    def _properties(self, interface: str) -> list[Property]:
        """An empty interface name means all of them, as with methods."""
        if interface and interface not in self.interfaces:
            raise UnknownInterface(f"{self.path} has no interface {shown(interface)}")
        wanted = [self.interfaces[interface]] if interface else self.interfaces.values()
        return [p for i in wanted for p in i.properties.values()]


BASIC = (PEER, INTROSPECTABLE, PROPERTIES)
