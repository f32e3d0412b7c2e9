# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes all as it was where a change fails: in reverse, and told where that fails too."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..errors import MctlError, SetupFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    Work = tuple[Callable[..., Awaitable[None]], tuple[Any, ...]]

log = logging.getLogger(__name__)


class Undoing:
    """step: what is tried within, for who has to be told that it was left half done."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._work: list[Work] = []
        self._counts: Callable[[], bool] = lambda: True

    async def __aenter__(self) -> Undoing:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failures = []
        while self._work:
            work, arguments = self._work.pop()
            try:
                await work(*arguments)
            except Exception as failure:  # whatever it is: the others still can
                failures.append(str(failure) or repr(failure))
        if failures and self._counts():
            left = f"what was changed before that could not be taken back: {'; '.join(failures)}"
            if isinstance(error, MctlError):
                raise SetupFailed(self._step, f"{error}; {left}") from error
            log.error("Could not %s: %s; %s", self._step, error, left)

    def add(self, work: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Before what it undoes, if that may fail half-way."""
        self._work.append((work, arguments))

    def only_while(self, counts: Callable[[], bool]) -> None:
        """Whether it matters to anybody that something could not be undone."""
        self._counts = counts

    def forget(self) -> None:
        """All has worked."""
        self._work.clear()
