# SPDX-License-Identifier: GPL-3.0-or-later
"""--cidfile: where a container's id goes. A file that is there already may be another one's, and is left alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .failures import UsageError

if TYPE_CHECKING:
    from .parser import Arguments


class IdFile:
    """Made before the container, so that none is made whose id has no place; gone again where none was made."""

    def __init__(self, arguments: Arguments) -> None:
        self._path: str = arguments.get("cidfile", "")
        self._written = False

    def __enter__(self) -> IdFile:
        if self._path:
            try:
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise UsageError(f"--cidfile {self._path[:80]!r}: {reason}") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._path and not self._written:
            os.unlink(self._path)

    def write(self, identity: str) -> None:
        if self._path:
            with open(self._path, "w", encoding="ascii") as file:
                file.write(identity)
            self._written = True
