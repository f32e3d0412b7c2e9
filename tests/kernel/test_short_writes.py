# SPDX-License-Identifier: GPL-3.0-or-later
"""Where only a part fits, write(2) says how much, and nothing else: that is not enough for a file of a container's."""

from __future__ import annotations

import contextlib
import errno
import resource
from typing import TYPE_CHECKING

import pytest

from mctld.runtime import etc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FITS = 4096


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """RLIMIT_FSIZE ends a write in the middle, as a full file system does. No fixture: pytest writes files too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FITS, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_container_gets_half_a_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="hosts") as caught, bounded():
        etc.write(str(tmp_path), {"hosts": "x" * (FITS + 1)}, 0, read_only=False)
    assert caught.value.errno == errno.ENOSPC
