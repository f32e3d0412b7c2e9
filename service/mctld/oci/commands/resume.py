# SPDX-License-Identifier: GPL-3.0-or-later
"""resume: the processes of a paused container go on."""

from __future__ import annotations

from .. import freezing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..call import Call

OPTIONS: dict[str, str] = {}


def run(call: Call) -> int:
    freezing.freeze(call, frozen=False)
    return 0
