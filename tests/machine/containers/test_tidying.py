# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator types now and then: mctl info, mctl prune."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Mctl


def test_info_counts_what_prune_removes(mctl: Mctl, rootfs: str) -> None:
    mctl("run", "-d", "--name", "stays", "--network", "none", rootfs, "sleep", "1000")
    mctl("run", "--name", "done", "--network", "none", rootfs, "true")
    mctl("create", "--name", "fresh", "--network", "none", rootfs, "true")
    found = json.loads(mctl("info", "--json").stdout)
    assert found["Containers"] == {"created": 1, "exited": 1, "running": 1}
    assert found["Version"] == found["ClientVersion"]
    assert {"userns", "seccomp"} <= set(found["Features"])
    told = mctl("info").stdout.decode()
    assert "Containers: 3 (1 created, 1 exited, 1 running)\n" in told
    assert mctl("prune").stdout == b"done\n"
    assert mctl("ps", "-a", "--format", "{{.Name}}").stdout.decode().split() == ["fresh", "stays"]
    mctl("run", "--name", "done", "--network", "none", rootfs, "true")
    mctl("network", "create", "unused")
    assert mctl("system", "prune").text.split("\n") == ["done", "unused", "Total reclaimed space: 0 B", ""]
    assert mctl("system", "info", "--json").stdout.count(b'"created": 1')
    refused = mctl("container", "rm", "stays", check=False)
    assert refused.stderr == b"mctl: container 'stays' is running: stop it first, or `mctl rm -f stays`\n"


def test_disk_use(busybox: Mctl, alice_may_create: None) -> None:
    write = "dd if=/dev/zero of=/data/file bs=1M count=5; dd if=/dev/zero of=/own bs=1M count=3"
    words = ["--network", "none", "-v", "kept:/data", "busybox", "sh", "-c", write]
    busybox("run", "--name", "writer", *words, user="alice")
    found = {each["Kind"]: each for each in json.loads(busybox("system", "df", "--json", user="alice").stdout)}
    assert set(found) == {"image", "container", "volume"}
    assert (found["volume"]["Name"], found["container"]["Name"]) == ("kept", "writer")
    assert 5 << 20 <= found["volume"]["Size"] < 6 << 20
    assert 3 << 20 <= found["container"]["Size"] < 4 << 20
    assert [found[kind]["Active"] for kind in ("image", "container", "volume")] == [True, False, True]
    lines = [line.split() for line in busybox("system", "df").text.splitlines()]
    assert [line[:3] for line in lines[1:]] == [
        ["Images", "1", "1"], ["Containers", "1", "0"], ["Volumes", "1", "1"], ["Downloads", "0", "0"],
    ]  # fmt: skip
    assert "(100%)" in lines[2]
    assert "writer" in busybox("system", "df", "-v").text
    busybox("rm", "writer", user="alice")
    busybox("volume", "rm", "kept", user="alice")
