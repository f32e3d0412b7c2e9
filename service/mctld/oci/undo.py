# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done at the end of a block, the last first: contextlib's ExitStack, whose module takes 2 ms to import."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any, TypeVar

    T = TypeVar("T")


class Undo:
    """Each call is made, whatever becomes of the block and of the calls before."""

    def __init__(self) -> None:
        self._calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def callback(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._calls.append((call, arguments))

    def enter_context(self, manager: AbstractContextManager[T]) -> T:
        """Its end is not told of failures: ours only close."""
        entered = manager.__enter__()
        self._calls.append((manager.__exit__, (None, None, None)))
        return entered

    def forget(self) -> None:
        """All went well: nothing is to be undone."""
        self._calls.clear()

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._calls:
            return
        call, arguments = self._calls.pop()
        try:
            call(*arguments)
        finally:
            self.__exit__()
