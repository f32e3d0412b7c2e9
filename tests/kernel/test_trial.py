# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check tries is what a start does, and nothing stays of it."""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from mctld.kernel import attempt, process
from mctld.runtime import rootfs, trial

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and namespaces are made here")


@contextmanager
def user_namespace() -> Iterator[int]:
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        descriptor = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
        yield descriptor
        os.close(descriptor)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_system_calls_answer_or_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(attempt.CALLS, "no_such_call", (9999, (0,)))
    assert trial.system_calls()["no_such_call"] == "Function not implemented"
    if os.geteuid() == 0:
        assert set(trial.system_calls()) == {"no_such_call"}


def test_a_processor_that_is_not_known_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "BPF", {})
    assert trial.device_rules() is None


def test_a_program_that_the_kernel_refuses_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "ALLOW_ALL", attempt.ALLOW_ALL[:8])  # without an exit
    assert trial.device_rules()


def test_the_library_of_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trial.filter_library() == ""
    monkeypatch.setitem(sys.modules, "seccomp", None)
    monkeypatch.delitem(sys.modules, "mctld.runtime.seccomp.program")
    monkeypatch.delattr(sys.modules["mctld.runtime.seccomp"], "program")
    assert "seccomp" in trial.filter_library()


@needs_root
def test_the_initial_user_namespace_maps_nothing(tmp_path: Path) -> None:
    """mount_setattr(2): EPERM for the caller's own; the overlay is not tried then, and all is cleared away."""
    with user_namespace() as own:
        tried = trial.layers(str(tmp_path), own)
    assert "Operation not permitted" in tried.idmap
    assert tried.overlay
    assert os.listdir(tmp_path) == []


@needs_root
def test_a_network_is_tried_out_of_sight() -> None:
    before = set(os.listdir("/sys/class/net"))
    tried = trial.network()
    assert isinstance(tried.bridge, str)
    assert set(os.listdir("/sys/class/net")) == before
    assert os.readlink("/proc/self/ns/net") == os.readlink("/proc/thread-self/ns/net")


def refuse(_namespaces: int) -> None:
    raise OSError(errno.ENOSPC, "unshare: No space left on device")


def test_a_host_without_namespaces_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where everything fails is where a check is needed most."""
    monkeypatch.setattr(process, "unshare", refuse)
    why = "no network namespace: unshare: No space left on device"
    assert trial.network() == trial.Network(why, why)
    assert "No such file or directory" in trial.layers(str(tmp_path / "none"), 0).overlay
    monkeypatch.setattr(rootfs, "lower_mount", lambda _lower, _namespace: os.open("/", os.O_PATH))
    if os.geteuid() == 0:
        assert trial.layers(str(tmp_path), 0) == trial.Layers(overlay="there are no mount namespaces")
        assert os.listdir(tmp_path) == []


def test_nft_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PROGRAMS", str(tmp_path))
    assert trial.ask_nft() is None
    nft = tmp_path / "nft"
    for script, answer in (("exit 0", ""), ("echo no such thing >&2; exit 1", "no such thing"), ("exit 3", "status 3")):
        nft.write_text(f"#!/bin/sh\n{script}\n")
        nft.chmod(0o755)
        assert trial.ask_nft() == answer
    nft.write_text("#!/nowhere\n")
    assert "No such file" in str(trial.ask_nft())
    nft.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(trial, "NFT_SECONDS", 0.1)
    assert "timed out" in str(trial.ask_nft())
