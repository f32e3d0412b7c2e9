# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ids of the host are which inside: user_namespaces(7), and the names of containers."""

from __future__ import annotations

from ..bounds import shown
from ..errors import InvalidArgs
from .reading import UINT32_MAX
from .value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reading import Value

LINES_MAX = 340  # user_namespaces(7)
MARKS = dict.fromkeys(map(ord, "_.+-"))


@value(frozen=True)
class Maps:
    """Lines of /proc/PID/uid_map and gid_map."""

    uids: str
    gids: str


def check_name(name: str) -> str:
    """It becomes a directory and part of a unit's name."""
    letters = name.translate(MARKS) or "x"
    if not (name.isascii() and letters.isalnum() and 1 <= len(name) <= 255 and name[0] not in ".+-"):
        raise InvalidArgs(
            f"container ID {shown(name)} is not valid: it must be 1 to 255 letters, digits and _ . + -, and begin "
            "with a letter, a digit or _"
        )
    return name


def read_maps(uids: Value, gids: Value) -> Maps:
    return Maps(_lines(uids), _lines(gids))


def _lines(given: Value) -> str:
    items = given.items()
    if not 0 < len(items) <= LINES_MAX:
        raise given.error(f"it must have 1 to {LINES_MAX} entries")
    return "\n".join(_line(item) for item in items)


def _line(item: Value) -> str:
    numbers = [item[key].number(low, UINT32_MAX) for key, low in (("containerID", 0), ("hostID", 0), ("size", 1))]
    return " ".join(str(number) for number in numbers)
