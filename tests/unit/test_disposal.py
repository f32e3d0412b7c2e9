# SPDX-License-Identifier: GPL-3.0-or-later
"""What is removed behind everybody's back is removed, also when the host runs out of something meanwhile."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

from mctld.lifecycle import disposal

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_it_outlives_a_time_without_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """subprocess.run() needs some for its pipes: a thread that ended then would never remove anything again."""
    failures = [OSError(errno.EMFILE, "none left"), RuntimeError("no thread")]
    done, discard = threading.Event(), disposal.discard

    def scarce(directory: str) -> None:
        if failures:
            raise failures.pop()
        discard(directory)
        if not any(tmp_path.iterdir()):
            done.set()

    monkeypatch.setattr(disposal, "discard", scarce)
    removal = disposal.Disposal(pause=0.01)
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
    for name in ("one", "two"):
        removal.add(str(tmp_path / name))
    assert done.wait(10)


def test_what_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()
    monkeypatch.setattr(disposal.log, "warning", lambda *_: told.set())
    monkeypatch.setattr(disposal, "TRIES", 3)

    def fail(_: str) -> None:
        raise OSError(errno.EMFILE, "none left")

    monkeypatch.setattr(disposal, "discard", fail)
    disposal.Disposal(pause=0.01).add(str(tmp_path))
    assert told.wait(10)
