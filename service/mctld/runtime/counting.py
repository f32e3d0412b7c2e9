# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are counted by du(1), a process of its own that can be ended, with the least priority.

It follows no link and leaves no file system, whatever lies in the directories.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from ..errors import LimitsExceeded
from ..kernel.handle import Handle

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = ("nice", "-n", "19", "du", "-s", "-x", "-0", "--block-size=1", "--files0-from=-")
SECONDS = 120.0
LINE_MAX = 64 << 10  # bytes of one entry: our own paths are short


async def counted(paths: Sequence[str]) -> dict[str, int]:
    """Bytes by path; without what is not there."""
    du = await asyncio.create_subprocess_exec(
        *COMMAND,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, limit=LINE_MAX,
    )  # fmt: skip
    handle = Handle(du.pid)
    try:
        async with asyncio.timeout(SECONDS):
            told, _ = await du.communicate("".join(f"{path}\0" for path in paths).encode())
    except TimeoutError:
        raise LimitsExceeded(f"counting took longer than {SECONDS:.0f} seconds, and was given up") from None
    finally:
        handle.send(signal.SIGKILL)
        handle.close()
        await du.wait()
    entries = (entry.partition("\t") for entry in told.decode().split("\0") if entry)
    return {path: int(size) for size, _, path in entries}
