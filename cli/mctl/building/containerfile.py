# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a Containerfile, or Dockerfile, as instructions: comments, continued lines, flags and here-documents.

https://docs.docker.com/reference/dockerfile/ and Containerfile(5).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..failures import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOWN = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
    "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
WITH_DOCUMENTS = ("ADD", "COPY", "RUN")
SIZE_MAX = 4 << 20
_DIRECTIVE = re.compile(r"#\s*(escape|syntax|check)\s*=\s*(.*?)\s*", re.IGNORECASE)
_DOCUMENT = re.compile(r"""(?:^|(?<=\s))<<(-?)(["']?)([A-Za-z_][A-Za-z0-9_]*)\2(?=\s|$)""")
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?(?:\s+|$)")


class Document:
    """A here-document: literal ones were quoted, and no variable in them is replaced."""

    __slots__ = ("literal", "name", "text", "whole")

    def __init__(self, name: str, text: str, whole: str, *, literal: bool) -> None:
        self.name = name
        self.text = text
        self.whole = whole  # as it stands in the file, with its last line
        self.literal = literal


class Instruction:
    """`rest` is what follows the flags, on one line."""

    __slots__ = ("documents", "flags", "line", "rest", "word")

    def __init__(self, line: int, word: str, flags: dict[str, list[str]], rest: str, documents: list[Document]) -> None:
        self.line = line
        self.word = word
        self.flags = flags
        self.rest = rest
        self.documents = documents

    def flag(self, name: str, default: str = "") -> str:
        return self.flags.get(name, [default])[-1]

    @property
    def script(self) -> Document | None:
        """The here-document, where there is one and no command beside it."""
        alone = len(self.documents) == 1 and name_of_document(self.rest) == self.documents[0].name
        return self.documents[0] if alone else None

    def check_flags(self, *known: str) -> None:
        unknown = next((name for name in self.flags if name not in known), None)
        if unknown:
            offered = f"known are {', '.join(f'--{name}' for name in known)}" if known else "it takes none"
            raise self.wrong(f"{self.word} --{unknown} is not offered: {offered}")

    def wrong(self, sentence: str) -> UsageError:
        return UsageError(f"line {self.line}: {sentence}")

    def __str__(self) -> str:
        flags = "".join(f"--{name}={value} " for name, values in self.flags.items() for value in values)
        return f"{self.word} {flags}{self.rest}"


def instructions(text: str) -> tuple[list[Instruction], str]:
    """All of a file, and its escape character, which also quotes in what follows."""
    if len(text) > SIZE_MAX:
        raise UsageError(f"the Containerfile has more than {SIZE_MAX} characters")
    lines = re.split("\r?\n", text.removeprefix("\ufeff"))  # splitlines() knows more ends of a line than these
    escape = _escape(lines)
    found = list(_read(lines, escape))
    if not found:
        raise UsageError("the Containerfile is empty: it begins with FROM")
    return found, escape


def name_of_document(word: str) -> str:
    """Of <<NAME, <<-NAME, <<"NAME" and <<-'NAME'."""
    return word.lstrip("<-").strip("\"'")


def _escape(lines: list[str]) -> str:
    for line in lines:
        directive = _DIRECTIVE.fullmatch(line.strip())
        if not directive:
            break
        if directive[1].lower() == "escape":
            if directive[2] not in ("\\", "`"):
                raise UsageError(f"line 1: escape={directive[2]} is neither \\ nor `")
            return directive[2]
    return "\\"


def _read(lines: list[str], escape: str) -> Iterator[Instruction]:
    at = 0
    while at < len(lines):
        first = at
        text, at = _logical(lines, at, escape)
        if not text:
            continue
        word, *rest = text.split(None, 1)
        instruction = _begun(first + 1, word, "".join(rest))
        if instruction.word in WITH_DOCUMENTS:
            at = _documents(instruction, lines, at)
        yield instruction


def _logical(lines: list[str], at: int, escape: str) -> tuple[str, int]:
    """A line with those that continue it, and the number of the next; comments and empty lines between them go."""
    parts: list[str] = []
    while at < len(lines):
        line = lines[at]
        at += 1
        stripped = line.strip()
        if stripped.startswith("#") or not stripped:
            if parts:
                continue
            return "", at
        kept = line.rstrip()
        if not kept.endswith(escape):
            parts.append(kept if parts else kept.lstrip())
            break
        parts.append(kept[:-1] if parts else kept[:-1].lstrip())
    return "".join(parts).strip(), at


def _begun(line: int, word: str, rest: str) -> Instruction:
    found = Instruction(line, word.upper(), {}, rest, [])
    if found.word not in KNOWN:
        raise found.wrong(f"{word[:40]!r} is not an instruction that is known: they are {', '.join(KNOWN)}")
    if found.word in ("FROM", "RUN", "COPY", "ADD", "HEALTHCHECK"):
        while flag := _FLAG.match(found.rest):
            found.flags.setdefault(flag[1], []).append(flag[2] if flag[2] is not None else "true")
            found.rest = found.rest[flag.end() :]
    if not found.rest:
        raise found.wrong(f"{found.word} has nothing behind it")
    return found


def _documents(instruction: Instruction, lines: list[str], at: int) -> int:
    for tabs, quote, name in _DOCUMENT.findall(instruction.rest):
        body: list[str] = []
        first = at
        while True:
            if at >= len(lines):
                raise instruction.wrong(f"the here-document {name} has no end: a line with {name} alone")
            line = lines[at].lstrip("\t") if tabs else lines[at]
            at += 1
            if line == name:
                break
            body.append(line)
        text = "".join(f"{line}\n" for line in body)
        whole = "".join(f"{line}\n" for line in lines[first:at])
        instruction.documents.append(Document(name, text, whole, literal=bool(quote)))
    return at
