# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptors that others have handed over: they may have sent what keeps whoever closes it waiting for ever."""

from __future__ import annotations

import os

from . import expendable, filesystem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def close(descriptors: Iterable[int]) -> None:
    slow = []
    for descriptor in descriptors:
        if _may_be_slow(descriptor):
            slow.append(descriptor)
        else:
            os.close(descriptor)
    if slow:
        expendable.close(slow)


def _may_be_slow(descriptor: int) -> bool:
    try:
        return filesystem.is_answered_for_by_a_process(descriptor)
    except OSError:  # there is no descriptor left to look with
        return True
