# SPDX-License-Identifier: GPL-3.0-or-later
"""What an update that is under way would make of a container, kept beside its files.

Whoever finds it takes back as much as there is of it: the store has not heard of it.
"""

from __future__ import annotations

import contextlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..disk import told
from ..encoding import decode, encode
from ..errors import MctlError, StoreFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..spec import Spec
    from ..store import Record
    from .machinery import Machinery

MARK = "update"


@contextmanager
def kept(machinery: Machinery, record: Record, wanted: Spec) -> Iterator[None]:
    """Until it has been stored, or undone."""
    path = _path(machinery, record)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(encode(wanted))
    except OSError as error:
        raise StoreFailed(f"the change could not be noted: {told(error, os.path.dirname(path))}") from error
    try:
        yield
    finally:
        drop(machinery, record)


def found(machinery: Machinery, record: Record) -> Spec | None:
    """None where there is none, or only its beginning: then nothing had been changed yet."""
    try:
        with open(_path(machinery, record), encoding="utf-8") as file:
            return decode(file.read())
    except (OSError, MctlError, ValueError, KeyError, TypeError):
        return None


def drop(machinery: Machinery, record: Record) -> None:
    with contextlib.suppress(OSError):  # removed meanwhile, or the disk is read-only by now
        os.unlink(_path(machinery, record))


def _path(machinery: Machinery, record: Record) -> str:
    return f"{machinery.settings.containers}/{record.id}/{MARK}"
