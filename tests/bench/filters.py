#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of the seccomp profiles: calls allowed, instructions, and the processor time to compile, fetch and load a filter.

    PYTHONPATH=service:tests python3 -m bench.filters [PROFILE.json ...]

Files are profiles as docker or podman have them, to compare with: they get the capabilities of mctl's default. Needs
neither root nor a machine.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from mctld import capability
from mctld.kernel import process
from mctld.runtime.seccomp import loading, profiles, program, shelf
from mctld.runtime.seccomp.filters import Filters
from mctld.runtime.stage import Descriptors
from unit import bpf

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 50
CALLS = 100_000
CAPABILITIES = frozenset(capability.DEFAULT)
NEWEST = 450  # of x86-64 in Linux 5.17: 362 numbers


def main(paths: list[str]) -> None:
    texts = {"default": "default", "strict": "strict", **{path: Path(path).read_text() for path in paths}}
    print(f"libseccomp {shelf.library_version()}, medians of {RUNS}, processor time")
    print(f"{'':24} allowed  instructions  compile ms  from file ms  from memory ms  load ms  a call ns (without)")
    for name, text in texts.items():
        report(name, text)


def report(name: str, text: str) -> None:
    rules = profiles.resolve(text, CAPABILITIES, os.uname().machine)
    assert rules is not None
    code = program.compile_profile(rules)
    found = bpf.Filter(code)
    # With arguments 0 and with 1: socket(2) of strict has no family 0.
    allowed = sum(
        1
        for _, n in bpf.numbers("X86_64")
        if n <= NEWEST and "ALLOW" in (found.ask("X86_64", n), found.ask("X86_64", n, 1))
    )
    compiling = timed(lambda: program.compile_profile(rules))
    with tempfile.TemporaryDirectory() as place:
        keeper = Filters(place)
        os.close(fetched(keeper, text))
        from_file = timed(lambda: first_of(place, text))
        from_memory = timed(lambda: os.close(fetched(keeper, text)))
        descriptor = fetched(keeper, text)
        loads = [in_child(lambda: load(descriptor)) for _ in range(RUNS)]
        bare, filtered = in_child(call), in_child(lambda: loaded_call(descriptor))
        os.close(descriptor)
        keeper.close()
    print(
        f"{Path(name).name:24} {allowed:7}  {len(code) // 8:12}  {compiling:10.1f}  {from_file:12.2f}  "
        f"{from_memory:14.3f}"
        f"  {median(loads):7.3f}  {filtered:.0f} ({bare:.0f})"
    )


def timed(act: Callable[[], object]) -> float:
    """Median milliseconds of processor time."""
    spans = []
    for _ in range(RUNS):
        began = time.process_time()
        act()
        spans.append((time.process_time() - began) * 1e3)
    return median(spans)


def fetched(filters: Filters, text: str) -> int:
    descriptor = asyncio.run(filters.open(text, CAPABILITIES))
    assert descriptor is not None
    return descriptor


def first_of(place: str, text: str) -> None:
    """What the first start after a restart of mctld waits for; asyncio.run's own time included."""
    filters = Filters(place)
    os.close(fetched(filters, text))
    filters.close()


def load(descriptor: int) -> float:
    process.forbid_new_privileges()
    began = time.thread_time()
    loading.load_filter(Descriptors(["seccomp"], [descriptor]))
    return (time.thread_time() - began) * 1e3


def call() -> float:
    """Nanoseconds of getppid(2), Python's part included."""
    act = os.getppid
    began = time.thread_time()
    for _ in range(CALLS):
        act()
    return (time.thread_time() - began) * 1e9 / CALLS


def loaded_call(descriptor: int) -> float:
    load(descriptor)
    return call()


def in_child(act: Callable[[], float]) -> float:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, struct.pack("d", act()))
        finally:
            os._exit(0)
    os.close(writer)
    answer = os.read(reader, 8)
    os.close(reader)
    os.waitpid(pid, 0)
    (value,) = struct.unpack("d", answer)
    return float(value)


if __name__ == "__main__":
    main(sys.argv[1:])
