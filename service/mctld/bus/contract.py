# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract: what dbus/*.xml declares, as frozen values. What it does not declare does not exist."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from .standard import STANDARD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ACTION = "org.mctl1.Action"
SET_ACTION = "org.mctl1.SetAction"
EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"
NAME = "org.mctl1"

_WORD = re.compile(r"USec|[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+")
_INTERFACE_TEXT = re.compile(r"^[ \t]*<interface\b.*?</interface>", re.DOTALL | re.MULTILINE)


class ContractError(Exception):
    """The XML and the code do not agree: the daemon must not start."""


@cache
def snake(name: str) -> str:
    """The handler of a member: runs of capitals are one word, and so is USec."""
    return "_".join(_WORD.findall(name)).lower()


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Method:
    interface: str
    name: str
    action: str
    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]

    @property
    def handler(self) -> str:
        return snake(self.name)

    @property
    def signature(self) -> str:
        return "".join(a.type for a in self.inputs)

    def __str__(self) -> str:
        return f"{self.interface}.{self.name}"


@dataclass(frozen=True, slots=True)
class Property:
    interface: str
    name: str
    action: str
    type: str
    access: str
    emits: str  # true, invalidates, const or false
    set_action: str = ""  # of a writable one

    @property
    def handler(self) -> str:
        return snake(self.name)

    def __str__(self) -> str:
        return f"{self.interface}.{self.name}"


@dataclass(frozen=True, slots=True)
class Signal:
    name: str
    arguments: tuple[Argument, ...]

    @property
    def signature(self) -> str:
        return "".join(a.type for a in self.arguments)


@dataclass(frozen=True, slots=True)
class Interface:
    name: str
    text: str  # the element as the file has it, for Introspect
    methods: Mapping[str, Method]
    properties: Mapping[str, Property]
    signals: Mapping[str, Signal]

    @property
    def members(self) -> list[Method | Property]:
        """What needs a handler and an action."""
        return [*self.methods.values(), *self.properties.values()]

    def check(self, cls: type) -> None:
        """Every method and property must have a handler in `cls`, and a writable property one more."""
        writable = [p for p in self.properties.values() if p.set_action]
        for member, handler in [*((m, m.handler) for m in self.members), *((p, f"set_{p.handler}") for p in writable)]:
            if not callable(getattr(cls, handler, None)):
                raise ContractError(f"{cls.__name__}.{handler} is missing for {member}")


class Contract:
    """All interfaces that are served: ours from the directory, and the standard ones."""

    def __init__(self, directory: str) -> None:
        self.interfaces = {i.name: i for i in [*_read_directory(directory), *_read_text(STANDARD, "standard.py")]}

    def __getitem__(self, name: str) -> Interface:
        if name not in self.interfaces:
            raise ContractError(f"no XML declares the interface {name}")
        return self.interfaces[name]


def _read_directory(directory: str) -> Iterable[Interface]:
    files = sorted(f for f in os.listdir(directory) if f.startswith(f"{NAME}.") and f.endswith(".xml"))
    if not files:
        raise ContractError(f"{directory} holds no {NAME}.*.xml")
    for file in files:
        path = os.path.join(directory, file)
        with open(path, encoding="utf-8") as stream:
            yield from _read_text(stream.read(), path)


def _read_text(text: str, path: str) -> Iterable[Interface]:
    try:
        elements = ET.fromstring(text).findall("interface")
    except ET.ParseError as error:
        raise ContractError(f"{path}: {error}") from error
    texts = _INTERFACE_TEXT.findall(text)
    if len(texts) != len(elements):
        raise ContractError(f"{path}: an interface element does not begin on a line of its own")
    for element, own in zip(elements, texts, strict=True):
        yield _interface(element, own)


def _interface(element: ET.Element, text: str) -> Interface:
    name = element.attrib["name"]
    methods = [
        Method(name, m.attrib["name"], _action(m, name), _arguments(m, "in"), _arguments(m, "out"))
        for m in element.findall("method")
    ]
    properties = [
        Property(
            interface=name,
            name=p.attrib["name"],
            action=_action(p, name),
            type=p.attrib["type"],
            access=p.attrib["access"],
            emits=_note(p, EMITS) or "true",
            set_action=_note(p, SET_ACTION),
        )
        for p in element.findall("property")
    ]
    signals = [Signal(s.attrib["name"], _arguments(s, "")) for s in element.findall("signal")]
    return Interface(
        name, text, {m.name: m for m in methods}, {p.name: p for p in properties}, {s.name: s for s in signals}
    )


def _arguments(member: ET.Element, direction: str) -> tuple[Argument, ...]:
    return tuple(
        Argument(a.get("name", ""), a.attrib["type"])
        for a in member.findall("arg")
        if not direction or a.get("direction", "in") == direction
    )


def _note(element: ET.Element, name: str) -> str:
    return next((a.attrib["value"] for a in element.findall("annotation") if a.get("name") == name), "")


def _action(member: ET.Element, interface: str) -> str:
    action = _note(member, ACTION)
    if not action:
        raise ContractError(f"{interface}.{member.get('name')} declares no {ACTION}")
    return action
