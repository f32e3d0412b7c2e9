# SPDX-License-Identifier: GPL-3.0-or-later
"""What options say in files, an entry a line, by the rules of docker's --env-file and --label-file."""

from __future__ import annotations

from .failures import UsageError


def entries(flag: str, path: str) -> list[str]:
    """Lines as they stand but for blanks before them; neither empty ones nor comments. \\n or \\r\\n ends one."""
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{flag} {path}: {reason}") from None
    wanted = [line.removesuffix("\r").lstrip() for line in lines]
    return [line for line in wanted if line and not line.startswith("#")]
