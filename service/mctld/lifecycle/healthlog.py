# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a container's health, for the next instance of the service: a file for each run in /run, where a
check a second wears out no disk."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import astuple
from typing import TYPE_CHECKING

from .vitals import Result, Vitals

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)


class HealthLog:
    """Nothing depends on it: what cannot be written or read is only forgotten."""

    def __init__(self, directory: str, identity: str) -> None:
        self._directory = directory
        self._path = f"{directory}/{identity}"

    def write(self, vitals: Vitals, results: Iterable[Result]) -> None:
        text = json.dumps({"vitals": astuple(vitals), "results": [astuple(result) for result in results]})
        made = f"{self._path}.new"
        try:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            with open(made, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
            os.rename(made, self._path)
        except OSError as error:
            log.debug("%s cannot be written: %s", self._path, error.strerror)

    def read(self) -> tuple[Vitals, list[Result]] | None:
        try:
            with open(self._path, encoding="utf-8", errors="surrogateescape") as file:
                found = json.load(file)
            return Vitals(*found["vitals"]), [Result(*result) for result in found["results"]]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.info("%s cannot be read: %s", self._path, error)
            return None

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._path)


def sweep(directory: str, running: Iterable[str]) -> None:
    """What runs have left whose end was not seen by this instance of the service."""
    with contextlib.suppress(FileNotFoundError):
        for name in set(os.listdir(directory)) - set(running):
            os.unlink(f"{directory}/{name}")
