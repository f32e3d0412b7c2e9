# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl import."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .. import changes
from ..archives import Archive, open_archive
from ..failures import Failure, UsageError
from ..output import complain, put
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

LAST = 253_402_300_799  # seconds

VERB = Verb(
    usage="[OPTION...] DIRECTORY|FILE|- NAME[:TAG]   or   --busybox [NAME[:TAG]]",
    options=(
        Option(("--busybox",), "make it from this host's busybox-static, with /bin/sh as its command"),
        Option(("--private",), "for root: do not share it with other users"),
        Option(("-c", "--change"), 'as CMD ["/bin/sh"]', value="INSTR", convert=changes.change, repeat=True),
        Option(("-m", "--message"), "a note for its history", value="TEXT"),
        Option(("--author",), "who made it", value="TEXT"),
        Option(("-q", "--quiet"), "only the id"),
    ),
    notes=(
        "An archive is made by tar, plain or compressed by gzip, zstd or xz. Prints the id.\n"
        "The same busybox always becomes the same image, and what else is imported does so with $SOURCE_DATE_EPOCH.\n"
        "--change takes CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR."
    ),
)


def run(arguments: Arguments, client: Client) -> int:
    date = source_date()
    archive, name, options = asked_for(arguments)
    made = date if archive.made is None else archive.made
    if made is not None:
        options["CreateTimestamp"] = ("t", made * 1_000_000)
    try:
        _path, identity, warnings = client.manager(
            "ImportImage", "sa{sv}t", name, {**options, "Archive": ("h", archive.given)}, 0
        )
    except Failure as error:
        archive.close()
        if complaint := archive.complaint():
            raise Failure(complaint, status=error.status) from None
        raise
    archive.close()
    for warning in warnings if not arguments.get("quiet") else ():
        complain(warning)
    put(f"{identity}\n")
    return 0


def source_date() -> int | None:
    """https://reproducible-builds.org/specs/source-date-epoch/"""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return None
    if not given.isascii() or not given.isdigit() or len(given) > 12 or int(given) > LAST:
        raise UsageError(f"SOURCE_DATE_EPOCH {given!r} is not a number of seconds before the year 10000")
    return int(given)


def asked_for(arguments: Arguments) -> tuple[Archive, str, dict[str, tuple[str, Any]]]:
    options = changes.options(arguments.get("change", []))
    for key, bus in (("message", "Comment"), ("author", "Author")):
        if key in arguments.options:
            options[bus] = ("s", arguments.options[key])
    if arguments.get("private"):
        options["Private"] = ("b", True)
    if not arguments.get("busybox"):
        if len(arguments.operands) != 2:
            raise UsageError("two things are needed: mctl import DIRECTORY|FILE|- NAME[:TAG]")
        return open_archive(arguments.operands[0]), arguments.operands[1], options
    if len(arguments.operands) > 1:
        raise UsageError("--busybox takes at most a name: mctl import --busybox [NAME[:TAG]]")
    from ..busybox import COMMAND, busybox_archive

    name = arguments.operands[0] if arguments.operands else "busybox"
    return busybox_archive(), name, {"Command": ("as", COMMAND), **options}
