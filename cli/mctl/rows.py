# SPDX-License-Identifier: GPL-3.0-or-later
"""Long lists of properties, aa{sv}, whose dictionaries are alike: a thousand containers are 13,000 values, and each
call of libsystemd costs a microsecond. What one has is expected of the next; then one call reads an entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .native import byref, c_char_p
from .sdbus import END, LIST, NUMBERS, checked, entered, library, read

if TYPE_CHECKING:
    from .native import c_void_p

ROW = "a{sv}"
BASIC = "snqiuxtd"


class Unlike(Exception):
    """A dictionary has other keys or types than the one before it."""


class Expected:
    """An entry that is as in the dictionary before: the same key with a value of the same type."""

    __slots__ = ("_at_value", "_key", "_key_there", "_kind", "_name", "_type", "_value")

    def __init__(self, key: str, kind: str) -> None:
        self._key, self._kind = key, kind
        self._key_there, self._type = key.encode(), kind.encode()
        self._name = c_char_p()
        self._value: Any = None
        if kind in BASIC:
            self._value = c_char_p() if kind == "s" else NUMBERS[kind]()
            self._at_value = byref(self._value)

    def read(self, message: c_void_p, found: dict[str, tuple[str, Any]]) -> None:
        """Raises Unlike."""
        found[self._key] = self._kind, self._basic(message) if self._value is not None else self._other(message)

    def _basic(self, message: c_void_p) -> Any:
        self._check(library.sd_bus_message_read(message, b"{sv}", byref(self._name), self._type, self._at_value))
        value = self._value.value
        return value.decode() if self._kind == "s" else value

    def _other(self, message: c_void_p) -> Any:
        enter, leave = library.sd_bus_message_enter_container, library.sd_bus_message_exit_container
        enter(message, b"e", b"sv")
        self._check(library.sd_bus_message_read_basic(message, b"s", byref(self._name)))
        if enter(message, b"v", self._type) <= 0:
            raise Unlike
        value = read(message, self._kind)
        leave(message)
        leave(message)
        return value

    def _check(self, result: int) -> None:
        if result <= 0 or self._name.value != self._key_there:
            raise Unlike


def read_list(message: c_void_p) -> list[dict[str, tuple[str, Any]]]:
    """As sdbus.read() would."""
    try:
        return read_alike(message)
    except Unlike:
        checked(library.sd_bus_message_rewind(message, 1))
        rows: list[dict[str, tuple[str, Any]]] = read(message, LIST)
        return rows


def read_alike(message: c_void_p) -> list[dict[str, tuple[str, Any]]]:
    """Raises Unlike."""
    entered(message, b"a", ROW.encode())
    first = read(message, ROW)
    if first is END:
        return []
    expected = [Expected(key, kind) for key, (kind, _) in first.items()]
    found = [first]
    while entered(message, b"a", b"{sv}"):
        row: dict[str, tuple[str, Any]] = {}
        for each in expected:
            each.read(message, row)
        if library.sd_bus_message_exit_container(message) < 0:  # there is more in it
            raise Unlike
        found.append(row)
    return found
