# SPDX-License-Identifier: GPL-3.0-or-later
"""The stage's part: a compiled filter becomes this process's own. Imports nothing but the kernel's calls."""

from __future__ import annotations

import os

from ...kernel import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..stage import Descriptors


def load_filter(descriptors: Descriptors) -> None:
    """From here on only what the filter allows. Needs no_new_privs, or CAP_SYS_ADMIN in this user namespace.

    The descriptor may be shared with other starts: read by position, whatever its offset.
    """
    descriptor = descriptors["seccomp"]
    process.set_filter(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
