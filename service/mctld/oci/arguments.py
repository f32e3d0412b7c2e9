# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines of runc's and crun's form: options with one or two hyphens' names, values after = or a space."""

from __future__ import annotations

from ..bounds import shown
from ..errors import InvalidArgs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHORT = {"-b": "--bundle", "-d": "--detach", "-f": "--force", "-a": "--all", "-q": "--quiet", "-t": "--tty",
         "-p": "--process", "-u": "--user", "-e": "--env", "-r": "--resources", "-c": "--cap"}  # fmt: skip
FLAG, TEXT, MANY = "flag", "text", "many"


class Options:
    """What was given, by the names without hyphens."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._given: dict[str, list[str]] = {}
        self.rest: list[str] = []

    def add(self, name: str, text: str) -> None:
        self._given.setdefault(name, []).append(text)

    def flag(self, name: str) -> bool:
        return self._given.get(name, ["false"])[-1] == "true"

    def text(self, name: str, default: str = "") -> str:
        return self._given.get(name, [default])[-1]

    def many(self, name: str) -> list[str]:
        return self._given.get(name, [])

    def given(self, name: str) -> bool:
        return name in self._given

    def number(self, name: str, low: int, high: int, default: int = 0) -> int:
        text = self.text(name)
        if not text:
            return default
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 20 and low <= int(text) <= high):
            raise InvalidArgs(f"--{name} {shown(text)} must be a number of {low} to {high}")
        return int(text)

    def identifier(self) -> str:
        """The one positional argument."""
        if len(self.rest) != 1:
            raise InvalidArgs(f"one container ID is needed, and {len(self.rest)} arguments were given")
        return self.rest[0]


def parse(words: Sequence[str], kinds: Mapping[str, str], *, interleaved: bool) -> Options:
    """Options of these kinds. interleaved: also after positional arguments; otherwise what follows those is theirs."""
    found, left = Options(kinds), list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            found.rest += left
            break
        if not word.startswith("-") or word == "-":
            found.rest.append(word)
            if not interleaved:
                found.rest += left
                break
            continue
        _take(found, word, left, kinds)
    return found


def _long(word: str, kinds: Mapping[str, str]) -> str:
    if word == "-f" and "format" in kinds:  # of list and ps, as runc has it
        return "format"
    return SHORT.get(word, word).lstrip("-")


def _take(found: Options, word: str, left: list[str], kinds: Mapping[str, str]) -> None:
    short, assigned, text = word.partition("=")
    name = _long(short, kinds)
    kind = kinds.get(name)
    if kind is None:
        raise InvalidArgs(f"the option {shown(word)} is not known here; known are {', '.join(f'--{k}' for k in kinds)}")
    if kind == FLAG:
        if assigned and text not in ("true", "false"):
            raise InvalidArgs(f"--{name} takes true or false, not {shown(text)}")
        found.add(name, text if assigned else "true")
    elif assigned:
        found.add(name, text)
    elif left:
        found.add(name, left.pop(0))
    else:
        raise InvalidArgs(f"--{name} needs a value")
