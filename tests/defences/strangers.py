# SPDX-License-Identifier: GPL-3.0-or-later
"""Against who hands over files, archives and Containerfiles, and against what boots in a container."""

from __future__ import annotations

from defences.table import Defence

STRANGERS = (
    Defence(
        "what the kernel tells whoever reads it is not read with the service's rights",
        "service/mctld/bus/openings.py",
        "if _refuse_answered(fd, what, remedy) in OF_THE_KERNEL:",
        "if _refuse_answered(fd, what, remedy) in ():",
        "tests/bus/test_credentials.py -k kernel",
    ),
    Defence(
        "a stream of nothing in an archive costs no copy of what follows it",
        "service/mctld/images/decompression.py",
        "SLICE = 1 << 14 ",
        "SLICE = 1 << 24 ",
        "tests/unit/images/test_decompression.py",
    ),
    Defence(
        "no control character of a Containerfile reaches the terminal",
        "cli/mctl/building/build.py",
        'printable(text, keep="\\n")',
        "text",
        "tests/unit/cli/test_patterns.py",
    ),
    Defence(
        "a machine's cgroups are bounded in number and depth",
        "service/mctld/runtime/delegation.py",
        "for name, most in BOUNDS.items():",
        "for name, most in ():",
        "tests/unit/test_machines.py -k given_away",
    ),
)
