# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that never come: what they take up is given back, and an administrator is never kept out."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mctld.errors import LimitsExceeded
from mctld.images.child import PIPE, patiently, widen
from mctld.images.refusal import Refusal
from mctld.lifecycle.arrivals import AT_ONCE, AT_ONCE_OF_ONE, ROOT_UID, Arrivals
from mctld.quotas import DEFAULTS

ALICE = 1000


def test_who_sends_nothing_is_given_up() -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    os.write(writing, b"archive")
    read = patiently(reading, 0.05)
    assert read(100) == b"archive"
    with pytest.raises(Refusal, match="nothing of the archive has come"):
        read(100)
    os.close(writing)
    assert read(100) == b""
    os.close(reading)


def test_a_pipe_holds_more_than_it_does_by_itself() -> None:
    reading, writing = os.pipe()
    widen(reading)
    assert fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ) == PIPE
    assert os.write(writing, bytes(PIPE)) == PIPE
    os.close(reading)
    os.close(writing)


def test_what_is_no_pipe_is_left_as_it_is() -> None:
    opened = os.open(__file__, os.O_RDONLY)
    widen(opened)
    assert os.read(opened, 1)
    os.close(opened)


def test_nobody_keeps_root_out() -> None:
    layers, disposal = SimpleNamespace(make_room=lambda _: None), SimpleNamespace(add=None)
    arrivals = Arrivals(cast("Any", layers), cast("Any", disposal), DEFAULTS, lambda: ())
    users = range(ALICE, ALICE + AT_ONCE // AT_ONCE_OF_ONE)
    with ExitStack() as held:
        for uid in users:
            for _ in range(AT_ONCE_OF_ONE):
                held.enter_context(arrivals.admitted(uid))
        with pytest.raises(LimitsExceeded):
            held.enter_context(arrivals.admitted(ALICE - 1))
        held.enter_context(arrivals.admitted(ROOT_UID))
    with ExitStack() as again:
        for uid in users:
            again.enter_context(arrivals.admitted(uid))
