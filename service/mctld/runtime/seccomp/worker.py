# SPDX-License-Identifier: GPL-3.0-or-later
"""A caller's own profile is compiled in a process of its own, with bounds.

libseccomp needs exponential time for some rules with several conditions each, and its binding holds the interpreter
meanwhile: 4 kB of a profile could stop the service for minutes.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

from ...errors import InvalidArgs
from ...kernel import constants

if TYPE_CHECKING:
    from io import FileIO

SECONDS_MAX = 5  # of processor time; a profile of docker's size takes 0.03
WAIT_MAX = 60  # on a host that is busy
MEMORY_MAX = 512 << 20
REFUSED = 65  # EX_DATAERR, sysexits.h: standard error has the sentence

_START = "import sys; sys.path[:] = sys.argv[1:]; from mctld.runtime.seccomp import worker; worker.main()"


def compile_apart(profile: str, capabilities: frozenset[str]) -> bytes:
    """The program. Blocks: call it in a thread."""
    request = json.dumps({"profile": profile, "capabilities": sorted(capabilities)}).encode()
    command = [sys.executable, "-IS", "-c", _START, *sys.path]
    with _memory() as given, _memory() as made:
        given.write(request)
        given.seek(0)
        try:
            done = subprocess.run(
                command, stdin=given, stdout=made, stderr=subprocess.PIPE, timeout=WAIT_MAX, check=False
            )
        except subprocess.TimeoutExpired:
            raise _too_complex() from None
        made.seek(0)
        code = made.read()
    if done.returncode == REFUSED:
        raise InvalidArgs(done.stderr.decode())
    if done.returncode < 0:
        raise _too_complex()
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace")[-1000:])
    return code


def _memory() -> FileIO:
    """Not several pipes: where descriptors are short, subprocess of Python 3.11 forgets those that it has made."""
    return open(os.memfd_create("profile", os.MFD_CLOEXEC), "w+b", buffering=0)


def _too_complex() -> InvalidArgs:
    return InvalidArgs(
        f"Seccomp: libseccomp cannot compile the profile within {SECONDS_MAX} seconds and {MEMORY_MAX >> 20} MiB: "
        "use fewer rules with several args for one call"
    )


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_MAX, SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    from . import profiles, program

    request = json.load(sys.stdin.buffer)
    rules = profiles.resolve(request["profile"], frozenset(request["capabilities"]), constants.MACHINE)
    assert rules is not None
    try:
        code = program.compile_profile(rules)
    except (InvalidArgs, MemoryError) as error:
        sys.stderr.write(str(error if isinstance(error, InvalidArgs) else _too_complex()))
        sys.exit(REFUSED)
    sys.stdout.buffer.write(code)
