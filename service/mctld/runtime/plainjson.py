# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON by the halves of the standard library's json that are written in C: importing the rest of it takes 4 ms.

What is not as it should be is given to the whole module, which says what is wrong with it.
"""

from __future__ import annotations

from _json import encode_basestring_ascii, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WHITE = " \t\n\r"


class _Context:
    """What a json.JSONDecoder is to its scanner."""

    strict, memo = True, None
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


def loads(text: str | bytes) -> Any:
    """ValueError or RecursionError as from json.loads."""
    given = text if isinstance(text, str) else _decoded(text)
    if given is not None:
        stripped = given.strip(WHITE)
        try:
            found, end = make_scanner(_Context)(stripped, 0)  # type: ignore[arg-type]  # any object with these will do
        except (ValueError, StopIteration, SystemError):  # SystemError: it found nobody to make its error
            end = -1
        if end == len(stripped):
            return found
    import json

    return json.loads(text)


def _decoded(text: bytes) -> str | None:
    try:
        return text.decode()
    except ValueError:
        return None


def dumps(value: object) -> str:
    encoder = make_encoder({}, _refuse, encode_basestring_ascii, None, ": ", ", ", False, False, True)  # noqa: FBT003
    return "".join(encoder(value, 0))


def _refuse(value: object) -> None:
    raise TypeError(f"a {type(value).__name__} cannot be JSON")
