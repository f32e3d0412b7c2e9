# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an archive is not taken. The confined child imports this: nothing heavy here."""

from __future__ import annotations


class Refusal(Exception):
    """One sentence for the person who brought the archive: what it holds, and which bound or rule that breaks."""


class Changing(Refusal):
    """What was seen there is gone already, or is something else."""


def shown(path: bytes) -> str:
    """`path` as it may appear in a sentence. By no codec that a confined child could not load any more."""
    text = path.decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return repr(text if len(text) <= 80 else text[:77] + "...")
