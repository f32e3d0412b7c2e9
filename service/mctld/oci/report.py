# SPDX-License-Identifier: GPL-3.0-or-later
"""Where failures and warnings go: standard error, and the log that the engine reads."""

from __future__ import annotations

import os
import time

from ..errors import InvalidArgs
from ..runtime import plainjson

FORMATS = ("text", "json")
LEVELS = {"debug": 0, "info": 1, "warn": 2, "warning": 2, "error": 3}


def _print(text: str) -> None:
    """Not by sys.stderr: containerd's shim closes the other end before a pod's first container is made, and what
    Python cannot flush in the end becomes status 120 in place of ours."""
    try:
        os.write(2, f"mctl-oci: {text}\n".encode(errors="surrogateescape"))
    except OSError:
        return  # nobody reads it; the log has it


class Report:
    """An engine takes the whole log for one JSON object that says why we failed, so warnings stay out of it unless
    they are asked for."""

    def __init__(self, path: str = "", form: str = "text", level: str = "error") -> None:
        if form not in FORMATS:
            raise InvalidArgs(f"--log-format {form!r} must be one of {', '.join(FORMATS)}")
        if level not in LEVELS:
            raise InvalidArgs(f"--log-level {level!r} must be one of {', '.join(LEVELS)}")
        self._path, self._form, self._level = path.removeprefix("file:"), form, LEVELS[level]

    def error(self, text: str) -> None:
        self._tell("error", text)

    def warn(self, text: str) -> None:
        self._tell("warning", text)

    def _tell(self, level: str, text: str) -> None:
        if LEVELS[level] < self._level:
            return
        if self._path:
            self._append(level, text)
        _print(text)

    def _append(self, level: str, text: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = plainjson.dumps({"msg": text, "level": level, "time": now}) if self._form == "json" else f"{now}: {text}"
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            _print(f"the log {self._path} cannot be written: {error.strerror}")
            return
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)
