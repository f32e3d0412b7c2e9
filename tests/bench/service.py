# SPDX-License-Identifier: GPL-3.0-or-later
"""A start asked of a service by a program, without any command line between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType


class Service(Protocol):
    """A connection on which /bin/true is started; every container removes itself. Raises FailedError."""

    def __enter__(self) -> Service: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None: ...  # fmt: skip

    def start(self) -> str:
        """Returns the id when the service says that the command is executed."""

    def start_all(self, count: int) -> Sequence[str]:
        """Asks for all before it waits for the first."""

    def wait(self, identity: str) -> None:
        """Returns when the run has ended."""
