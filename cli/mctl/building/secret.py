# SPDX-License-Identifier: GPL-3.0-or-later
"""--secret of `mctl build`: id=NAME with src=FILE or env=VARIABLE, as docker and podman take it."""

from __future__ import annotations

import os

from ..failures import UsageError

SECRET_MAX = 500 << 10  # bytes, docker's bound
SOURCES = ("src", "source", "env")


def secret(flag: str, text: str) -> tuple[str, bytes]:
    """Read now: a step that comes late shall not fail for a file that is not there."""
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    kind, name = fields.pop("type", ""), fields.pop("id", "")
    unknown = fields.keys() - {*SOURCES}
    if not name or "/" in name or unknown or kind not in ("", "file", "env") or len(fields) > 1:
        raise UsageError(f"{flag} {text!r} is not id=NAME,src=FILE or id=NAME,env=VARIABLE")
    source = fields.get("src") or fields.get("source")
    is_file = source is not None and kind != "env"
    content = _of_file(flag, source or "") if is_file else _of_variable(flag, fields.get("env") or source or name)
    if len(content) > SECRET_MAX:
        raise UsageError(f"{flag} id={name}: it has more than {SECRET_MAX} bytes")
    return name, content


def _of_file(flag: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(SECRET_MAX + 1)
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror}") from None


def _of_variable(flag: str, name: str) -> bytes:
    if name not in os.environ:
        raise UsageError(f"{flag}: there is no variable {name!r}, and no src=FILE is given")
    return os.environb[os.fsencode(name)]
