# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that many unit tests begin with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from mctld.spec import Rootfs, Spec

if TYPE_CHECKING:
    from collections.abc import Callable

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.fixture
def make_spec() -> Callable[..., Spec]:
    base = Spec(name="web", rootfs=Rootfs("/srv/web", 1, 2), command=("/bin/true",))
    return lambda **changes: replace(base, **changes)
