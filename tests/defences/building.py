# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a stranger's Containerfile and context from what is the caller's."""

from __future__ import annotations

from defences.table import Defence

BUILDING = (
    Defence(
        "a Containerfile does not choose networks",
        "cli/mctl/building/build.py",
        'if found in ("default", "none", self._service.network):',
        "if True:",
        "tests/unit/cli/test_build_network.py",
    ),
    Defence(
        "what was built on another's settings is no cache",
        "cli/mctl/building/cache.py",
        "all((before.get(name) or None) == (after.get(name) or None) for name in kept)",
        "True",
        "tests/unit/cli/test_build_cache.py -k settings",
    ),
    Defence(
        "a Containerfile or .dockerignore that is a link leads nowhere out of the context",
        "cli/mctl/building/context.py",
        'path = posixpath.normpath(leads).lstrip("/") or "."',
        "path = posixpath.join(posixpath.dirname(path), os.readlink(path, dir_fd=top))",
        "tests/unit/cli/test_context.py -k own_files",
    ),
    Defence(
        "root keeps no secrets in another user's directory",
        "cli/mctl/building/room.py",
        "os.stat(directory).st_uid == os.geteuid() and ",
        "",
        "tests/unit/cli/test_room.py -k anothers",
    ),
)
