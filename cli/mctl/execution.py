# SPDX-License-Identifier: GPL-3.0-or-later
"""How a command is executed in a container, be it the first one or one more: as whom, where, with what variables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .failures import UsageError

if TYPE_CHECKING:
    from .parser import Arguments

ID_MAX = 2**32 - 2
NAME_LETTERS = {*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-$"}


def user(flag: str, text: str) -> str:
    """USER or USER:GROUP; what is a number is one without sign or leading zero."""
    for part in text.split(":", 1):
        number = part.isascii() and part.isdigit() and (part == "0" or part[0] != "0") and int(part) <= ID_MAX
        name = part.isascii() and part[:1].isalpha() | (part[:1] == "_") and not set(part) - NAME_LETTERS
        if not (number or name):
            raise UsageError(f"{flag} {text!r} is not USER or USER:GROUP: give names, or numbers up to {ID_MAX}")
    return text


def variable(flag: str, text: str) -> tuple[str, str] | None:
    """A name with its value; None for a name alone that the caller's environment lacks."""
    name, equals, value = text.partition("=")
    if not name or not name.isprintable() or " " in name:
        raise UsageError(f"{flag} {text!r} is not NAME=VALUE or NAME: a name has no blanks in it")
    if equals:
        return name, value
    return (name, os.environ[name]) if name in os.environ else None


def variables_of_file(flag: str, path: str) -> list[tuple[str, str] | None]:
    """NAME=VALUE or NAME a line, values are taken as they stand."""
    from .filelines import entries

    return [variable(f"{flag} {path}:", line) for line in entries(flag, path)]


def directory(flag: str, text: str) -> str:
    if not text.startswith("/"):
        raise UsageError(f"{flag} {text!r} is not an absolute path: give a directory inside the container, as /srv")
    return text


def environment_of(arguments: Arguments) -> list[str]:
    """Files first, then -e; the last word on a variable counts. With -t there is TERM in any case."""
    files = [entry for file in arguments.get("env_file", []) for entry in file]
    entries = [entry for entry in (*files, *arguments.get("env", [])) if entry is not None]
    terminal = kind_of_terminal() if arguments.get("tty") else {}
    return [f"{name}={value}" for name, value in {**terminal, **dict(entries)}.items()]


def kind_of_terminal() -> dict[str, str]:
    """The caller's, so that programs inside know what they may print; the service has a default."""
    found = os.environ.get("TERM", "")
    return {"TERM": found} if found and found.isprintable() and os.isatty(0) else {}
