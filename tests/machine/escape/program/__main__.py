# SPDX-License-Identifier: GPL-3.0-or-later
"""python3 -IBS -m escape_probes [NAME...]: all probes, or these."""

from __future__ import annotations

import json
import sys

from . import birth, devices, entry, facilities, kernel, masks, memory, mounts, namespaces, neighbours, terminals
from .registry import PROBES, attempt

PASSED = 123
GROUPS = (birth, namespaces, mounts, kernel, memory, entry, terminals, devices, masks, neighbours, facilities)


def main() -> int:
    assert GROUPS  # importing them has filled the list
    wanted = sys.argv[1:] or list(PROBES)
    for name in wanted:
        print(json.dumps(attempt(name)), flush=True)
    print(json.dumps({"probe": "end", "outcome": len(wanted)}))
    return PASSED


if __name__ == "__main__":
    sys.exit(main())
