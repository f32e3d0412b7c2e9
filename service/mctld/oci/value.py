# SPDX-License-Identifier: GPL-3.0-or-later
"""Frozen values, as dataclasses are, without the 11 ms that importing dataclasses takes of each command."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass as value
    from typing import Any

__all__ = ["value"]

if not TYPE_CHECKING:

    def value(*, frozen: bool):
        """A class decorator: fields are the annotations, defaults the class's attributes."""
        assert frozen
        return _made


def _made(kind: Any) -> Any:
    names = tuple(kind.__annotations__)
    defaults = {name: getattr(kind, name) for name in names if hasattr(kind, name)}

    def make(self: Any, *positional: Any, **named: Any) -> None:
        given = {**defaults, **dict(zip(names, positional, strict=False)), **named}
        if given.keys() != set(names) or len(positional) > len(names):
            raise TypeError(f"{kind.__name__} needs {', '.join(names)}, and was given {', '.join(given)}")
        self.__dict__.update(given)

    def refuse(_self: Any, name: str, _value: Any = None) -> None:
        raise AttributeError(f"{kind.__name__}.{name} is frozen")

    def show(self: Any) -> str:
        return f"{kind.__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    kind.__init__, kind.__setattr__, kind.__delattr__, kind.__repr__ = make, refuse, refuse, show
    kind.__eq__ = lambda self, other: type(self) is type(other) and self.__dict__ == other.__dict__
    kind.__hash__ = lambda self: hash(tuple(self.__dict__.values()))
    return kind
