# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl-copy: confines itself to a container, packs or unpacks, and tells on standard output how it went."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import NoReturn

from ..images.archive import Archive
from ..images.decompression import Inflow
from ..images.refusal import Refusal
from ..images.source import Source
from ..images.zstd import Decompressor
from .confinement import confine
from .packing import Packing
from .placing import Placing
from .request import Request
from .stream import Stream


def main() -> None:
    signal.signal(signal.SIGTERM, _cancelled)
    request = Request.decode(sys.argv[1])
    Decompressor()  # loads the library while it can be found
    try:
        confine(request)
    except OSError as error:
        _say({"unconfined": str(error)})
    try:
        _say({"done": (_unpack if request.inwards else _pack)(request)})
    except Refusal as error:
        _say({"refused": str(error)})
    except BrokenPipeError:
        _say({"refused": "nobody reads the archive any more"})
    except (OSError, MemoryError, RecursionError) as error:
        _say({"failed": _sentence(error)})


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        return f"{name}: {error.strerror}" if name else error.strerror
    return str(error) or type(error).__name__


def _say(document: dict[str, object]) -> NoReturn:
    with open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as out:
        out.write(json.dumps(document))
    os._exit(0)  # a thread may still wait for the archive


def _cancelled(_number: int, _frame: object) -> NoReturn:
    """So that a file that is half made is removed."""
    raise Refusal("it was cancelled")


def _root() -> int:
    return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _unpack(request: Request) -> int:
    """How many devices were left out."""
    source = Source(Inflow(Stream(request.stream).read))
    archive = Archive(source, lambda _: None, end_required=True)
    placing, begun = Placing(_root(), request), False
    for entry in archive:
        if not begun:
            placing.begin(entry)
            begun = True
        placing.take(entry, source)
        archive.skip_padding(entry)
    if not begun:
        raise Refusal("the archive is empty")
    placing.close()
    return placing.left_out


def _pack(request: Request) -> int:
    """How many sockets were left out."""
    stream = Stream(request.stream)
    packing = Packing(_root(), stream.write)
    packing.run(request.path, follow=request.follow)
    stream.flush()
    return packing.left_out
