# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything is undone, in reverse, whatever fails."""

from __future__ import annotations

from contextlib import suppress

import pytest

from mctld.oci.undo import Undo


def fail() -> None:
    raise OSError("one")


def test_the_last_comes_first() -> None:
    done: list[int] = []
    with Undo() as undo:
        for number in range(3):
            undo.callback(done.append, number)
        assert done == []
    assert done == [2, 1, 0]


def test_a_failure_stops_nothing() -> None:
    done: list[int] = []
    undo = Undo()
    undo.callback(done.append, 0)
    undo.callback(fail)
    undo.callback(done.append, 1)
    with pytest.raises(OSError, match="one"):
        undo.__exit__()
    assert done == [1, 0]


def test_it_is_undone_after_a_failure_and_forgotten_after_a_success() -> None:
    done: list[str] = []
    with suppress(KeyError), Undo() as outer:
        outer.callback(done.append, "outer")
        inner = outer.enter_context(Undo())
        inner.callback(done.append, "inner")
        raise KeyError
    assert done == ["inner", "outer"]
    with Undo() as undo:
        undo.callback(fail)
        undo.forget()
