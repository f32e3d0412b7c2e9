# SPDX-License-Identifier: GPL-3.0-or-later
"""A JSON document, read strictly: each value knows where it stands, and says what it must be.

Properties that nobody asks for are ignored, as the specification wants it (config.md, Extensibility); values that are
invalid or not supported are errors (config.md, Valid values).
"""

from __future__ import annotations

from ..bounds import shown
from ..errors import InvalidArgs
from ..runtime import plainjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")

SIZE_MAX = 16 << 20  # bytes of a document
UINT32_MAX = 2**32 - 1
INT64_MAX = 2**63 - 1
UINT64_MAX = 2**64 - 1


class Value:
    """One value; null is the same as absent."""

    def __init__(self, value: Any, path: str) -> None:
        self._value = value
        self.path = path

    @property
    def given(self) -> bool:
        return self._value is not None

    def error(self, why: str) -> InvalidArgs:
        if self._value is None:
            return InvalidArgs(f"{self.path} is missing: {why}")
        return InvalidArgs(f"{self.path} is {shown(plainjson.dumps(self._value))}: {why}")

    def __getitem__(self, key: str) -> Value:
        """A member of an object; one of an absent object is absent too."""
        return Value(self._object().get(key), f"{self.path}.{key}")

    def members(self) -> dict[str, Value]:
        return {key: Value(item, f"{self.path}.{key}") for key, item in self._object().items()}

    def _object(self) -> dict[str, Any]:
        if self._value is None:
            return {}
        if not isinstance(self._value, dict):
            raise self.error("it must be an object")
        return self._value

    def items(self) -> list[Value]:
        value = [] if self._value is None else self._value
        if not isinstance(value, list):
            raise self.error("it must be a list")
        return [Value(item, f"{self.path}[{index}]") for index, item in enumerate(value)]

    def text(self, default: str | None = None) -> str:
        if self._value is None and default is not None:
            return default
        if not isinstance(self._value, str):
            raise self.error("it must be a string")
        if "\0" in self._value:
            raise self.error("it must not contain a NUL character")
        return self._value

    def texts(self) -> tuple[str, ...]:
        return tuple(item.text() for item in self.items())

    def boolean(self) -> bool:
        """False where it is absent."""
        if self._value is None:
            return False
        if not isinstance(self._value, bool):
            raise self.error("it must be true or false")
        return self._value

    def number(self, low: int, high: int, default: int | None = None) -> int:
        if self._value is None and default is not None:
            return default
        if type(self._value) is not int or not low <= self._value <= high:  # bool is an int to isinstance
            raise self.error(f"it must be an integer of {low} to {high}")
        return self._value

    def optional_number(self, low: int, high: int) -> int | None:
        return self.number(low, high) if self.given else None

    def identifier(self) -> int:
        """Of a user or group: all ones mean "no change" to the kernel, chown(2)."""
        return self.number(0, UINT32_MAX - 1)

    def choice(self, table: Mapping[str, T]) -> T:
        name = self.text()
        if name not in table:
            raise self.error(f"it must be one of {', '.join(table)}")
        return table[name]

    def absolute(self) -> str:
        path = self.text()
        if not path.startswith("/"):
            raise self.error("it must be an absolute path")
        return path

    def refuse(self, why: str) -> None:
        """For what the specification has and we have not."""
        if self._value not in (None, "", [], {}, False):
            raise self.error(f"mctl-oci does not support it: {why}")

    def raw(self) -> dict[str, Any]:
        """An object as it stands in the document."""
        return self._object()

    def dump(self) -> str:
        return plainjson.dumps(self._value)


def read(text: bytes, name: str) -> Value:
    if len(text) > SIZE_MAX:
        raise InvalidArgs(f"{name} has {len(text)} bytes: the most is {SIZE_MAX}")
    try:
        found = plainjson.loads(text)
    except RecursionError:
        raise InvalidArgs(f"{name} is nested too deeply") from None
    except ValueError as error:
        raise InvalidArgs(f"{name} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidArgs(f"{name} must be a JSON object")
    return Value(found, name)
