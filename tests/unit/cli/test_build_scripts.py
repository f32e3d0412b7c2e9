# SPDX-License-Identifier: GPL-3.0-or-later
"""A here-document alone is a script: the shell's, or whoever's its first line names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mctl.building.build import Build
from mctl.building.containerfile import instructions
from mctl.building.service import Image
from mctl.building.stage import Stage


class Executed(Exception):
    """The step would run."""

    def __init__(self, command: list[str], files: dict[str, tuple[bytes, int]], history: list[str]) -> None:
        super().__init__(command)
        self.command = command
        self.files = files
        self.history = history


def execute(text: str) -> Executed:
    """The command, the files that it is shown with their modes, and what the cache knows the step by."""
    (_, run), escape = instructions(f"FROM x\n{text}")
    stage, shown = Stage(Image("sha256:x", [], {}), {}, {}, escape), dict[int, tuple[bytes, int]]()

    def files(members: Any, *, is_directory: bool) -> int:
        assert not is_directory
        ((info, opener),) = members
        shown[len(shown)] = opener().read(), info.mode
        return len(shown) - 1

    def start(_image: str, command: list[str], options: Any, _sinks: object) -> None:
        mounts = {target: (shown[number], access) for number, target, access in options.get("Mounts", ("", []))[1]}
        assert all(access == "ro" for _, access in mounts.values())
        raise Executed(command, {target: file for target, (file, _) in mounts.items()}, stage.told)

    service = SimpleNamespace(network="", run=start, remove=lambda: None)
    room = SimpleNamespace(files=files, clear=lambda: None)
    given: Any = (service, None, {}, ({}, {}), room)
    with pytest.raises(Executed) as found:
        Build(*given, cached=False, quiet=True, private=False)._do(stage, run, [])
    return found.value


def test_what_names_nobody_is_the_shells() -> None:
    found = execute("RUN <<E\nset -e\nid\nE")
    assert (found.command, found.files) == (["/bin/sh", "-c", "set -e\nid\n"], {})


def test_what_names_somebody_is_a_file() -> None:
    found = execute("RUN <<-'E'\n\t#!/usr/bin/env python3\n\tprint(1)\n\tE")
    assert found.command == ["/dev/pipes/E"]
    assert found.files == {"/dev/pipes/E": (b"#!/usr/bin/env python3\nprint(1)\n", 0o755)}
    other = execute("RUN <<E\n#!/usr/bin/env python3\nprint(2)\nE")
    assert (other.command, other.history != found.history) == (found.command, True)


def test_behind_a_command_it_is_the_commands() -> None:
    found = execute("RUN python3 - <<E\n#!/bin/sh\nE")
    assert (found.command, found.files) == (["/bin/sh", "-c", "python3 - <<E\n#!/bin/sh\nE\n"], {})
