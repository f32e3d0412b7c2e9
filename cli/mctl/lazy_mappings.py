# SPDX-License-Identifier: GPL-3.0-or-later
"""Spares the import of _collections_abc, of whose 25 abstract classes os takes two, for os.environ.

They would take 1.4 ms of each command. A stand-in is in their place while os is imported; whoever wants them later
finds the real ones.
"""

from __future__ import annotations

import sys

NAME = "_collections_abc"

TYPE_CHECKING = False

if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any
else:
    ModuleType = type(sys)  # spares the import of types


class MutableMapping:
    """What os.environ is mostly asked for; the rest comes from the real class."""

    def get(self, key: object, default: object = None) -> Any:
        try:
            return self[key]  # type: ignore[index]
        except KeyError:
            return default

    def __contains__(self, key: object) -> bool:
        try:
            self[key]  # type: ignore[index]
        except KeyError:
            return False
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(_real("MutableMapping"), name).__get__(self)


class StandIn(ModuleType):
    """Whatever else a version of os may want is the real one."""

    MutableMapping = MutableMapping
    Mapping = dict

    @staticmethod
    def _check_methods(*arguments: object) -> object:
        return _real("_check_methods")(*arguments)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # import asks for __spec__
            raise AttributeError(name)
        return _real(name)


def _real(name: str) -> Any:
    _remove()
    import _collections_abc

    return getattr(_collections_abc, name)


def _remove() -> None:
    if isinstance(sys.modules.get(NAME), StandIn):
        del sys.modules[NAME]


def import_os() -> None:
    if NAME in sys.modules:
        return
    sys.modules[NAME] = StandIn(NAME)
    try:
        import os  # noqa: F401
    finally:
        _remove()
