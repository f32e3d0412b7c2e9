# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl cp: files from here to a container or back, as docker copies them."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from ..client import CONTAINER, Call
from ..destination import to_stdout
from ..failures import NO_SUCH, Failure, UsageError
from ..names import looks_like_id, path_of
from ..output import complain
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..archives import Archive
    from ..client import Client
    from ..parser import Arguments
    from ..receiving import Receiving

KEEP_IDS, INTO, FOLLOW = 1, 2, 1
STREAM = "-"

VERB = Verb(
    usage="[OPTION...] SOURCE NAME:PATH\n       mctl cp [OPTION...] NAME:PATH DESTINATION",
    options=(
        Option(("-a", "--archive"), "keep user and group ids, and modes whatever the umask"),
        Option(("-L", "--follow-link"), "copy what a symbolic link at the end of the source leads to"),
        Option(("-q", "--quiet"), "no progress"),
    ),
    notes=(
        "- in place of SOURCE or DESTINATION is a tar archive on standard input or output.\n"
        "DIRECTORY/. are a directory's contents. A file here whose name has a colon is given as ./NAME."
    ),
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 2:
        raise UsageError("two things are needed: mctl cp SOURCE NAME:PATH, or mctl cp NAME:PATH DESTINATION")
    source, destination = arguments.operands
    inside, outside = split(source), split(destination)
    if inside and outside:
        raise UsageError("one of the two must be here: mctl cp NAME:PATH - | mctl cp - OTHER:DIRECTORY")
    if outside:
        return copy_in(arguments, client, source, *outside)
    if inside:
        return copy_out(arguments, client, *inside, destination)
    raise UsageError("no container was named: one of the two is NAME:PATH")


def split(text: str) -> tuple[str, str] | None:
    """Name and path; None for what is here."""
    name, colon, path = text.partition(":")
    if not colon or "/" in name or name.startswith(".") or not name:
        return None
    return name, path or "/"


def object_path(client: Client, text: str) -> str:
    if looks_like_id(text):
        try:
            return str(client.manager("GetContainer", "s", text.lower())[0])
        except Failure as error:
            if error.name not in NO_SUCH:
                raise
    return path_of(text)


def copy_in(arguments: Arguments, client: Client, source: str, name: str, path: str) -> int:
    from ..progress import Progress

    keep, flags, options = bool(arguments.get("archive")), 0, dict[str, tuple[str, Any]]()
    if keep:
        flags |= KEEP_IDS
    target = object_path(client, name)
    if source == STREAM:
        if os.isatty(0):
            raise UsageError("an archive is nothing to type: redirect standard input")
        flags |= INTO
        (left_out,) = client.call(Call(target, CONTAINER, "CopyIn", "sha{sv}t", path, 0, options, flags))
        return told(left_out)
    from ..sending import packed

    archive, top = packed(source, keep=keep, follow=bool(arguments.get("follow_link")))
    if top:
        options["Name"] = ("s", top)
    call = Call(target, CONTAINER, "CopyIn", "sha{sv}t", path, archive.given, options, flags)
    with Progress(source, counter(arguments, lambda: getattr(archive, "passed", 0))):
        (left_out,) = sent(client, call, archive)
    return told(left_out)


def sent(client: Client, call: Call, archive: Archive) -> tuple[Any, ...]:
    try:
        reply = client.call(call)
    except Failure as error:
        archive.close()
        if complaint := archive.complaint():
            raise Failure(complaint, status=error.status) from None
        raise
    archive.close()
    return reply


def copy_out(arguments: Arguments, client: Client, name: str, path: str, destination: str) -> int:
    from ..progress import Progress

    flags, target = FOLLOW if arguments.get("follow_link") else 0, object_path(client, name)
    if destination == STREAM:
        if os.isatty(1):
            raise UsageError("an archive is nothing for a terminal: redirect standard output")
        to_stdout(lambda output: client.call(Call(target, CONTAINER, "CopyOut", "sht", path, output, flags)))
        return 0
    from ..receiving import Receiving

    receiving = Receiving(destination, keep=bool(arguments.get("archive")))
    reading, writing = os.pipe()
    unpacking = Unpacking(receiving, reading)
    unpacking.start()
    try:
        with Progress(f"{name}:{path}", counter(arguments, lambda: receiving.received)):
            client.call(Call(target, CONTAINER, "CopyOut", "sht", path, writing, flags))
            os.close(writing)
            unpacking.join()
    except Failure:
        os.close(writing)
        unpacking.join()
        if unpacking.wrong is None or unpacking.is_cut_off:
            raise
    if unpacking.wrong is not None:
        raise unpacking.wrong
    return told(receiving.left_out)


class Unpacking(threading.Thread):
    """While the service packs, which waits for nobody who has given up."""

    def __init__(self, receiving: Receiving, reading: int) -> None:
        super().__init__(daemon=True)
        self._receiving = receiving
        self._reading = reading
        self.wrong: Failure | None = None
        self.is_cut_off = False  # because the service has failed, which says more

    def run(self) -> None:
        ended = Ended(self._reading)
        try:
            self._receiving.take(ended)
            ended.drain()
        except Failure as error:
            self.wrong = error
        except OSError as error:
            self.wrong = Failure(f"cannot write {error.filename or 'a file'}: {error.strerror}", status=1)
        finally:  # whatever it was: the service would wait for a reader
            self.is_cut_off = ended.has_ended
            os.close(self._reading)


class Ended:
    """The reading end of a pipe as a file, that knows whether it was read to its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.has_ended = False

    def read(self, size: int) -> bytes:
        data = os.read(self._descriptor, size)
        self.has_ended = not data
        return data

    def drain(self) -> None:
        while self.read(1 << 16):
            pass


def counter(arguments: Arguments, count: Any) -> Any:
    return (lambda: 0) if arguments.get("quiet") else count


def told(left_out: int) -> int:
    if left_out:
        complain(f"{left_out} device{'s' if left_out > 1 else ''} left out: containers get theirs from the service")
    return 0
