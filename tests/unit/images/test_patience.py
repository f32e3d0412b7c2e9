# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that never come: what they take up is given back, and an administrator is never kept out."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from mctld.errors import LimitsExceeded
from mctld.images.child import patiently
from mctld.images.refusal import Refusal
from mctld.lifecycle.images import IMPORTS_AT_ONCE, IMPORTS_OF_ONE, ROOT_UID, Images

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


def test_nobody_keeps_root_out() -> None:
    layers, disposal = SimpleNamespace(make_room=lambda _: None), SimpleNamespace(add=None)
    images: Any = SimpleNamespace(
        _check_room=lambda _: None, _importing=Counter(), layers=layers, _disposal=disposal
    )
    users = range(ALICE, ALICE + IMPORTS_AT_ONCE // IMPORTS_OF_ONE)
    with ExitStack() as held:
        for uid in users:
            for _ in range(IMPORTS_OF_ONE):
                held.enter_context(Images.admitted(images, uid))
        with pytest.raises(LimitsExceeded):
            held.enter_context(Images.admitted(images, ALICE - 1))
        held.enter_context(Images.admitted(images, ROOT_UID))
    assert not images._importing
