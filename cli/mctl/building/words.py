# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of an instruction: quotes, and variables as ${NAME}, ${NAME:-otherwise}, ${NAME:+instead}."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..failures import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

NESTED_MAX = 16


def array(text: str) -> list[str] | None:
    """A JSON array of texts, or None: then it is something else."""
    if not text.startswith("["):
        return None
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def as_json(words: list[str]) -> str:
    return json.dumps(words, ensure_ascii=False)


def split(text: str, escape: str) -> list[str]:
    """At white space that is not quoted; the quotes stay."""
    found: list[str] = []
    word, quote, at = "", "", 0
    while at < len(text):
        here = text[at]
        if here == escape and quote != "'" and at + 1 < len(text):
            word += text[at : at + 2]
            at += 2
            continue
        if here in "\"'" and quote in ("", here):
            quote = "" if quote else here
        if here.isspace() and not quote:
            if word:
                found.append(word)
            word = ""
        else:
            word += here
        at += 1
    return [*found, word] if word else found


class Expansion:
    """Of texts in one instruction: all see the variables as they were before it."""

    def __init__(self, variables: Mapping[str, str], escape: str) -> None:
        self._variables = variables
        self._escape = escape

    def __call__(self, text: str, *, quotes: bool = True, depth: int = 0) -> str:
        """`quotes`: they are taken away, and what is in single ones stays as it is."""
        if depth > NESTED_MAX:
            raise UsageError(f"{text[:40]!r} has more than {NESTED_MAX} variables in one another")
        found, quote, at = "", "", 0
        while at < len(text):
            here = text[at]
            if here == self._escape and quote != "'" and at + 1 < len(text):
                kept = quote == '"' and text[at + 1] not in f'"${self._escape}'
                found += text[at : at + 2] if kept else text[at + 1]
                at += 2
            elif quotes and here in "\"'" and quote in ("", here):
                quote = "" if quote else here
                at += 1
            elif here == "$" and quote != "'":
                value, at = self._variable(text, at + 1, depth)
                found += value
            else:
                found += here
                at += 1
        return found

    def _variable(self, text: str, at: int, depth: int) -> tuple[str, int]:
        """What stands for the variable whose name begins `at`, and where the text goes on."""
        if text[at : at + 1] != "{":
            end = at
            while end < len(text) and (text[end].isalnum() or text[end] == "_") and text[end].isascii():
                end += 1
            return (self._variables.get(text[at:end], ""), end) if end > at else ("$", at)
        end = _closing(text, at)
        inside = text[at + 1 : end]
        name = inside[: next((i for i, c in enumerate(inside) if not (c.isalnum() or c == "_")), len(inside))]
        rule = inside[len(name) :]
        value = self._variables.get(name)
        if not name or rule[:1] not in ("", ":", "-", "+") or (rule[:1] == ":" and rule[1:2] not in ("-", "+")):
            raise UsageError(f"${{{inside}}} is not understood: give ${{NAME}}, ${{NAME:-VALUE}} or ${{NAME:+VALUE}}")
        if not rule:
            return value or "", end + 1
        there = bool(value) if rule[0] == ":" else value is not None
        otherwise = self(rule.lstrip(":")[1:], depth=depth + 1)
        if rule.lstrip(":")[0] == "-":
            return (value or "") if there else otherwise, end + 1
        return otherwise if there else "", end + 1


def _closing(text: str, at: int) -> int:
    depth = 0
    for number in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[number], 0)
        if not depth:
            return number
    raise UsageError(f"{text[at - 1 : at + 40]!r} has no closing brace")


def pairs(text: str, expand: Expansion, escape: str) -> list[tuple[str, str]]:
    """KEY=VALUE several times; or one KEY, and its value behind a space."""
    words = split(text, escape)
    if "=" not in words[0]:
        key, *value = text.split(None, 1)
        if not value:
            raise UsageError(f"{key!r} has no value")
        return [(key, expand(value[0].strip()))]
    if bad := next((word for word in words if "=" not in word), None):
        raise UsageError(f"{bad!r} is not KEY=VALUE")
    return [(expand(key), expand(value)) for key, _, value in (word.partition("=") for word in words)]
