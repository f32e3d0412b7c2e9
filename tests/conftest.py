# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for all tests."""

from __future__ import annotations

import gc
import signal


def pytest_configure() -> None:
    """A shell's background job, and nohup(1), ignore what many tests send to programs that they execute."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """Ten thousand tests live to the end: who looks for what one has left need not walk through them all."""
    gc.collect()
    gc.freeze()
