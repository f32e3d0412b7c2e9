# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl build."""

from __future__ import annotations

import os
import shutil
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from ..access import ACCESS, pull_policy
from ..building.agent import agent
from ..building.secret import secret
from ..failures import UsageError
from ..labels import label
from ..limits import OPTIONS as LIMITS
from ..limits import limit_options
from ..output import put
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..building.context import Context
    from ..client import Client
    from ..parser import Arguments

NAMES = ("Containerfile", "Dockerfile")


def argument(flag: str, text: str) -> tuple[str, str]:
    """Its value may be the caller's own."""
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f"{flag} {text!r} is not NAME=VALUE or NAME")
    return name, value if equals else os.environ.get(name, "")


VERB = Verb(
    usage="[OPTION...] DIRECTORY|-",
    options=(
        Option(("-t", "--tag"), "what the image is called", value="NAME[:TAG]", repeat=True),
        Option(("-f", "--file"), "the Containerfile, in the context if not given; - is standard input", value="FILE"),
        Option(("--build-arg",), "a value for an ARG", value="NAME[=VALUE]", convert=argument, repeat=True),
        Option(("--target",), "the stage to build, the last if not given", value="STAGE"),
        Option(("--secret",), "a file for RUN --mount=type=secret", value="id=ID,src=F", convert=secret, repeat=True),
        Option(("--ssh",), "an agent for RUN --mount=type=ssh", value="ID[=SOCKET]", convert=agent, repeat=True),
        Option(("--no-cache",), "take nothing from earlier builds"),
        Option(("--network",), "what RUN has: a network's name, or none", value="NETWORK"),
        Option(("--label",), "one more label", value="K=V", convert=label, repeat=True),
        Option(("--private",), "for root: do not share it with other users"),
        Option(("-q", "--quiet"), "only the id"),
        Option(("--iidfile",), "a file to write the id into", value="FILE"),
        Option(("--pull",), "fetch what FROM names", value="WHEN", convert=pull_policy, implied="always"),
        *ACCESS,
        *LIMITS,
    ),
    notes=(
        "Makes an image as a Containerfile, or Dockerfile, in a directory says; - is a Containerfile, or an archive\n"
        "with one, on standard input. Each RUN is a container like any other, with the limits given. Prints the id."
    ),
)


def run(arguments: Arguments, client: Client) -> int:
    from ..building.build import Build
    from ..building.containerfile import instructions
    from ..building.guardian import Guardian
    from ..building.room import Room
    from ..building.service import Service

    if len(arguments.operands) != 1:
        raise UsageError("one context must be named: mctl build [-t NAME] DIRECTORY|-")
    text, context = read(arguments.operands[0], arguments.get("file"))
    found, escape = instructions(text)
    network = arguments.get("network")
    networks = None if network in (None, "default") else [] if network == "none" else [network]
    service = Service(client, arguments, limit_options(arguments), networks)
    for name in arguments.get("tag", []):
        service.check_name(name)
    room = Room()
    guardian = Guardian(service, room)
    try:
        given = dict(arguments.get("build_arg", []))
        switches = {key: bool(arguments.get(key)) for key in ("quiet", "private")}
        shown = dict(arguments.get("secret", [])), dict(arguments.get("ssh", []))
        build = Build(service, context, given, shown, room, cached=not arguments.get("no_cache"), **switches)
        image = build.run(found, escape, arguments.get("target", ""), dict(arguments.get("label", [])))
        for name in arguments.get("tag", []):
            service.tag(image.id, name)
    finally:
        guardian.dismiss()
    if "iidfile" in arguments.options:
        write_id(arguments.options["iidfile"], image.id)
    put(f"{image.id}\n")
    return 0


def write_id(path: str, identity: str) -> None:
    """Without a newline, as docker's: scripts take it as it is."""
    try:
        with open(path, "w", encoding="utf-8") as opened:
            opened.write(identity)
    except OSError as error:
        raise UsageError(f"cannot write {path!r}: {error.strerror}") from None


def read(where: str, file: str | None) -> tuple[str, Context]:
    """The Containerfile's text, and the context."""
    from ..building.containerfile import SIZE_MAX
    from ..building.context import Context, of_archive, of_directory

    if where == "-":
        given = standard_input()
        if not is_archive(given.fileno()):
            if file is not None:
                raise UsageError("-f names a file of a context, but standard input is a Containerfile")
            return given.read(SIZE_MAX).decode("utf-8", "replace"), Context({})
        context = of_archive(given)
    else:
        if not os.path.isdir(where):
            raise UsageError(f"{where!r} is no directory")
        context = of_directory(where)
        if file == "-":
            return standard_input().read(SIZE_MAX).decode("utf-8", "replace"), context
        if (text := text_of(where, file)) is not None:
            return text, context
    names = [file] if file else NAMES
    text = next((found for name in names if (found := context.text(name, SIZE_MAX)) is not None), None)
    if text is None:
        raise UsageError(f"the context has no {' or '.join(names)}")
    return text, context


def text_of(where: str, file: str | None) -> str | None:
    """It may be ignored as a part of the context, or lie elsewhere."""
    from ..building.containerfile import SIZE_MAX
    from ..building.context import text_inside

    inside = os.path.relpath(file, where) if file else ""
    if not file or inside.split("/")[0] != os.pardir:
        names = [inside] if file else NAMES
        return next((text for name in names if (text := text_inside(where, name, SIZE_MAX)) is not None), None)
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read(SIZE_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read {file!r}: {error.strerror}") from None


def standard_input() -> IO[bytes]:
    """One that can be read anywhere: what comes through a pipe is kept in a file without a name."""
    given = os.fdopen(os.dup(0), "rb")
    if given.seekable():
        return given
    kept = TemporaryFile()  # noqa: SIM115 (the context reads from it)
    shutil.copyfileobj(given, kept, 1 << 20)
    kept.seek(0)
    return kept


def is_archive(descriptor: int) -> bool:
    """tar's own mark, or that of a compressed one."""
    start = os.pread(descriptor, 512, 0)
    return start[257:262] == b"ustar" or start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ"))
