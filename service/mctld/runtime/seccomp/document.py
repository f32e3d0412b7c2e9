# SPDX-License-Identifier: GPL-3.0-or-later
"""A JSON document, read strictly: each value knows where it stands, and what is not asked for is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from ...bounds import shown
from ...errors import InvalidArgs

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")
TEXT_MAX = 256 << 10  # bytes
ITEMS_MAX = 4096  # of one list


class Value:
    """One value of the document; null is the same as absent."""

    def __init__(self, value: Any, path: str = "") -> None:
        self._value = value
        self.path = path

    @property
    def given(self) -> bool:
        return self._value is not None

    def error(self, why: str) -> InvalidArgs:
        place = f"Seccomp {self.path}" if self.path else "Seccomp"
        return InvalidArgs(f"{place} is {shown(json.dumps(self._value))}: {why}")

    def object(self, *keys: str) -> dict[str, Value]:
        """Its members by these keys, given or not; others are an error. An absent object has none."""
        value = {} if self._value is None else self._value
        if not isinstance(value, dict):
            raise self.error("it must be an object")
        below = f"{self.path}." if self.path else ""
        for key in value:
            if key not in keys:
                raise InvalidArgs(f"Seccomp {below}{shown(key)} is not known; known are {', '.join(keys)}")
        return {key: Value(value.get(key), f"{below}{key}") for key in keys}

    def list(self) -> list[Value]:
        value = [] if self._value is None else self._value
        if not isinstance(value, list):
            raise self.error("it must be a list")
        if len(value) > ITEMS_MAX:
            raise InvalidArgs(f"Seccomp {self.path} has {len(value)} items: the most is {ITEMS_MAX}")
        return [Value(item, f"{self.path}[{index}]") for index, item in enumerate(value)]

    def text(self) -> str:
        if not isinstance(self._value, str):
            raise self.error("it must be a string")
        return self._value

    def number(self, low: int, high: int) -> int:
        if type(self._value) is not int or not low <= self._value <= high:  # bool is an int to isinstance
            raise self.error(f"it must be an integer of {low} to {high}")
        return self._value

    def choice(self, table: Mapping[str, T]) -> T:
        name = self.text()
        if name not in table:
            raise self.error(f"it must be one of {', '.join(table)}")
        return table[name]


def read(text: str) -> Value:
    size = len(text.encode(errors="surrogatepass"))
    if size > TEXT_MAX:
        raise InvalidArgs(f"Seccomp is a profile of {size} bytes: the most is {TEXT_MAX}")
    try:
        return Value(json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse))
    except RecursionError:
        raise InvalidArgs("Seccomp is nested too deeply") from None
    except ValueError as error:
        raise InvalidArgs(
            f"Seccomp {shown(text)} is neither default, strict or unconfined nor the JSON text of a profile: {error}"
        ) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{shown(twice)} is there twice in one object")
    return members


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
