# SPDX-License-Identifier: GPL-3.0-or-later
"""Short options mean what they mean to runc."""

from __future__ import annotations

import pytest

from mctld.errors import InvalidArgs
from mctld.oci.arguments import FLAG, TEXT, parse


def test_f_is_format_where_there_is_a_format() -> None:
    assert parse(["-f", "json"], {"format": TEXT, "quiet": FLAG}, interleaved=True).text("format") == "json"
    assert parse(["-f=json"], {"format": TEXT}, interleaved=True).text("format") == "json"
    assert parse(["-f", "box"], {"force": FLAG}, interleaved=True).rest == ["box"]
    with pytest.raises(InvalidArgs, match="'-f' is not known here"):
        parse(["-f"], {"quiet": FLAG}, interleaved=True)
