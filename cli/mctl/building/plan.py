# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of a Containerfile, and which of them the wanted one needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..failures import UsageError
from . import platform
from .mounting import origins
from .words import Expansion, split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .containerfile import Instruction

SCRATCH = "scratch"


class Part:
    """From one FROM to the next. base: what it begins with; needs: numbers of earlier parts it takes from."""

    __slots__ = ("base", "first", "instructions", "name", "needs")

    def __init__(self, first: Instruction, base: str, name: str) -> None:
        self.first = first
        self.base = base
        self.name = name
        self.instructions: list[Instruction] = []
        self.needs: set[int] = set()


def parts(instructions: list[Instruction], given: Mapping[str, str], escape: str) -> tuple[list[Part], dict[str, str]]:
    """And the arguments before the first FROM."""
    found: list[Part] = []
    of_all = {**platform.arguments(), **{k: v for k, v in given.items() if k in platform.arguments()}}
    for each in instructions:
        if each.word == "FROM":
            found.append(_part(each, Expansion({**of_all, **_proxies(given)}, escape), escape))
            if (number := stage_number(found[:-1], found[-1].base)) is not None:
                found[-1].needs.add(number)
        elif found:
            found[-1].instructions.append(each)
            numbers = (stage_number(found[:-1], text) for text in (*each.flags.get("from", []), *origins(each)))
            found[-1].needs |= {number for number in numbers if number is not None}
        elif each.word == "ARG":
            for word in split(each.rest, escape):
                name, _, default = word.partition("=")
                of_all[name] = given.get(name, Expansion(of_all, escape)(default))
        else:
            raise each.wrong(f"{each.word} stands before the first FROM: only ARG may")
    if not found:
        raise UsageError("the Containerfile has no FROM")
    return found, of_all


def needed(found: list[Part], target: str) -> list[int]:
    """In order, the wanted one last."""
    wanted = len(found) - 1
    if target:
        number = stage_number(found, target)
        if number is None:
            names = ", ".join(part.name for part in found if part.name) or "none"
            raise UsageError(f"--target {target!r} is no stage of the Containerfile: their names are {names}")
        wanted = number
    seen: set[int] = set()
    pending = [wanted]
    while pending:
        seen.add(number := pending.pop())
        pending += found[number].needs - seen
    return sorted(seen)


def stage_number(before: list[Part], text: str) -> int | None:
    """By name, the latest of it; or by number."""
    named = [number for number, part in enumerate(before) if part.name and part.name == text.lower()]
    if named:
        return named[-1]
    return int(text) if text.isascii() and text.isdigit() and int(text) < len(before) else None


def _part(instruction: Instruction, expand: Expansion, escape: str) -> Part:
    instruction.check_flags("platform")
    platform.check(instruction, expand(instruction.flag("platform")))
    words = [expand(word) for word in split(instruction.rest, escape)]
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS") or not words[0]:
        raise instruction.wrong(f"FROM {instruction.rest} is not FROM IMAGE [AS NAME]")
    return Part(instruction, words[0], words[2].lower() if len(words) == 3 else "")


def _proxies(given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if name.upper().endswith("_PROXY")}
