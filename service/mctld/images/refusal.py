# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an archive is not taken. The confined child imports this: nothing heavy here."""

from __future__ import annotations


class Refusal(Exception):
    """One sentence for the person who brought the archive: what it holds, and which bound or rule that breaks."""


def shown(path: bytes) -> str:
    """`path` as it may appear in a sentence."""
    text = path.decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return repr(text if len(text) <= 80 else text[:77] + "...")
