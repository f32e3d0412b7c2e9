# SPDX-License-Identifier: GPL-3.0-or-later
"""Files from here become an archive for a container, read by tar(1) with the caller's own rights."""

from __future__ import annotations

import os

from .archives import Archive, Packing
from .failures import UsageError

TAR = (
    "tar", "--create", "--file=-", "--format=posix", "--pax-option=delete=atime,delete=ctime", "--numeric-owner",
    "--sparse", "--no-wildcards",
)  # fmt: skip
ROOTS = ("--owner=0", "--group=0")
WHOLE = ("--xattrs", "--xattrs-include=user.*", "--xattrs-include=security.capability")


def packed(source: str, *, keep: bool, follow: bool) -> tuple[Archive, str]:
    """The archive, and what its top is to be called in a directory; empty: its contents are copied.

    As docker: DIR/. are the directory's contents; a link at the end is copied as one unless `follow`, or a slash, says
    otherwise.
    """
    if not os.path.lexists(source):
        raise UsageError(f"there is no {source!r} here")
    if source.endswith("/") and not os.path.isdir(source):
        raise UsageError(f"{source!r} is no directory")
    options = WHOLE if keep else ROOTS
    stripped = source.rstrip("/") or "/"
    name = os.path.basename(stripped)
    if name == ".":
        return Packing([*TAR, *options, f"--directory={source}", "."]), ""
    if follow or name in ("", "..") or source.endswith("/"):
        stripped = os.path.realpath(source)
    above, real = os.path.split(stripped)
    if not real:  # the root directory
        return Packing([*TAR, *options, "--directory=/", "."]), ""
    given = name if name not in ("", "..") else real
    return Packing([*TAR, *options, f"--directory={above or '.'}", f"./{real}"]), given
