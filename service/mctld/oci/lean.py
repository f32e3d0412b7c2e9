# SPDX-License-Identifier: GPL-3.0-or-later
"""The standard library's socket and signal, without the enumerations that they make of their constants; and ctypes.

Those, and what is imported for them, take 4 ms of each command. The constants stay plain numbers, as they were before
Python 3.4. Stand-ins are there only while these are imported; whoever asks for enum later gets enum.
"""

from __future__ import annotations

import _collections_abc  # what collections.abc is another name of
import _struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any
else:
    ModuleType = type(sys)  # spares the import of types


# Types of ctypes that nobody here uses
FOREIGN_ORDER = ("BigEndianStructure", "BigEndianUnion", "LittleEndianStructure", "LittleEndianUnion")


class Number(int):
    """In the place of enum.IntEnum and IntFlag."""

    def __new__(cls, value: object) -> Number:
        """ValueError, as from them, for a signal's handler that is a function."""
        if not isinstance(value, int):
            raise ValueError(value)
        return super().__new__(cls, value)

    @classmethod
    def _convert_(cls, name: str, module: str, *_: object, **__: object) -> None:
        """The constants are in the module already, from its half in C; only the class that they would have is not."""
        setattr(sys.modules[module], name, cls)


def _wraps(_: object) -> Any:
    """In the place of functools.wraps, for names and documentation."""
    return lambda function: function


def load(*, calls: bool = True) -> None:
    """calls: ctypes too, for system calls that Python does not offer."""
    if "enum" in sys.modules:
        return
    contents: dict[str, dict[str, object]] = {
        "enum": {"IntEnum": Number, "IntFlag": Number},
        "functools": {"wraps": _wraps},
        "selectors": {},  # for socket.sendfile, which nobody here uses
        "collections": {"abc": _collections_abc},  # for array, which is for descriptors in messages
        "types": {"GenericAlias": type(list[int])},  # this and what follows are for ctypes
        "struct": {"calcsize": _struct.calcsize},
        "ctypes._endian": dict.fromkeys(FOREIGN_ORDER),
    }
    for name, content in contents.items():
        stand_in = ModuleType(name)
        vars(stand_in).update(content)
        sys.modules[name] = stand_in
    sys.modules["collections.abc"] = _collections_abc
    try:
        import signal  # noqa: F401
        import socket  # noqa: F401

        if calls:
            import ctypes  # noqa: F401
    finally:
        for name in (*contents, "collections.abc"):
            del sys.modules[name]
