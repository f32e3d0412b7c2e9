# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes in a /dev whose owner works against it, in a mount namespace of its own. Needs root."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from mctld.device import Device
from mctld.kernel import mount
from mctld.runtime import plugging

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces: needs root")

ONE, OTHER = (Device("/dev/null", 1, 3, block=False, target=target) for target in ("/dev/one", "/dev/other"))


@pytest.fixture
def first() -> Iterator[int]:
    """A pidfd of who has a /dev like a container's."""
    script = "mount -t tmpfs -o mode=755 tmpfs /dev && echo && exec sleep 1000"
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        pidfd = os.pidfd_open(process.pid)
        yield pidfd
        os.close(pidfd)
        process.kill()


@pytest.fixture
def node() -> Iterator[int]:
    opened = os.open("/dev/null", os.O_PATH)
    made = mount.clone_tree(opened)
    yield made
    os.close(made)
    os.close(opened)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_cannot_be_put_back_is_closed(first: int, node: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the second node fails to come, its owner takes the first one's place. What is told is the first failure."""
    assert plugging.change(first, 0, [], [(ONE, node)]) == []
    show = plugging._show

    def taken_meanwhile(place: int, device: Device, shown: int) -> None:
        if device == OTHER:
            for name in ("one", "other"):
                os.close(os.open(name, os.O_CREAT | os.O_EXCL, dir_fd=place))
        show(place, device, shown)

    monkeypatch.setattr(plugging, "_show", taken_meanwhile)
    before = open_descriptors()
    with pytest.raises(FileExistsError) as failed:
        plugging.change(first, 0, [ONE], [(OTHER, node)])
    assert failed.value.filename == OTHER.target
    assert open_descriptors() == before
