# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system in user space whose server never answers: it is known without being asked, and nobody waits for it."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mctld.bus.descriptors import Descriptors
from mctld.kernel import expendable, filesystem

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not Path("/dev/fuse").exists(), reason="needs root and /dev/fuse")

# A server in a user and a mount namespace of its own, as any user may have one. It answers everybody's close(2) except
# that of processes beside the one that it is told of.
SERVER = r'''
import array, ctypes, os, socket, struct, sys, threading
here = socket.socket(fileno=int(sys.argv[1]))
libc = ctypes.CDLL(None, use_errno=True)
def checked(result, what):
    if result: raise OSError(ctypes.get_errno(), what)
checked(libc.unshare(0x10000000 | 0x00020000), "unshare")
for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
    with open(f"/proc/self/{name}", "w") as file: file.write(text)
device = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
checked(libc.mount(b"x", sys.argv[2].encode(), b"fuse", 0, options), "mount")
def attributes(node):
    mode = 0o40755 if node == 1 else 0o100666
    return struct.pack("<QQQQQQIIIIIIIIII", node, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
def serve():
    while True:
        try: request = os.read(device, 1 << 20)
        except OSError: return
        _, operation, unique, node, _, _, pid, _ = struct.unpack("<IIQQIIII", request[:40])
        error, out = 0, b""
        if operation == 26: out = struct.pack("<IIIIHHIIHHI", 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, 0) + bytes(24)
        elif operation == 1: out = struct.pack("<QQQQII", 2, 0, 10000, 10000, 0, 0) + attributes(2)
        elif operation == 3: out = struct.pack("<QII", 10000, 0, 0) + attributes(node)
        elif operation in (14, 27): out = struct.pack("<QII", 5, 0, 0)
        elif operation == 25 and pid != os.getpid(): continue  # FLUSH
        elif operation in (18, 25): pass
        elif operation in (2, 36, 42): continue
        else: error = -38
        os.write(device, struct.pack("<IiQ", 16 + len(out), error, unique) + out)
threading.Thread(target=serve, daemon=True).start()
file = os.open(sys.argv[2] + "/x", os.O_RDWR)
here.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))])
os.close(file)
here.send(b"y")
here.recv(1)
'''


@pytest.fixture
def unanswered() -> Iterator[int]:
    here, there = socket.socketpair()
    with tempfile.TemporaryDirectory() as directory:
        argv = [sys.executable, "-c", SERVER, str(there.fileno()), directory]
        server = subprocess.Popen(argv, pass_fds=[there.fileno()])
        there.close()
        _, fds, _, _ = socket.recv_fds(here, 1, 1)
        assert fds, "the server has not started"
        assert here.recv(1) == b"y"  # one that is killed while it has its own file open waits for itself
        yield fds[0]
        server.kill()  # what waits for an answer gets an error
        server.wait(20)
        here.close()
        with contextlib.suppress(OSError):  # there is nobody left to flush it
            os.close(fds[0])


def ended(within: float) -> bool:
    deadline = time.monotonic() + within
    while expendable._watchers and time.monotonic() < deadline:
        for pid in tuple(expendable._watchers):
            if os.waitpid(pid, os.WNOHANG | 0x40000000)[0]:
                expendable._watchers.discard(pid)
        time.sleep(0.02)
    return not expendable._watchers


def test_it_is_known_without_being_asked(unanswered: int) -> None:
    assert filesystem.is_answered_for_by_a_process(unanswered)


@pytest.mark.parametrize("control", [expendable.CONTROL, "/sys/fs/none/connections"])
def test_nobody_waits_for_its_answer_and_its_connection_is_ended(
    unanswered: int, control: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expendable, "CONTROL", control)  # systemd-nspawn's containers have no such place
    monkeypatch.setattr(expendable, "GRACE", 0.5)
    copy = os.dup(unanswered)
    received = Descriptors([copy, os.open("/dev/null", os.O_RDONLY)])
    began = time.monotonic()
    received.close()
    assert time.monotonic() - began < 5  # not the server's whole life
    assert ended(20)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(copy)
    with pytest.raises(OSError, match=r"not connected|abort"):  # where there is a connection that is no error
        os.fsync(unanswered)


def test_all_are_closed_where_no_descriptor_is_left(tmp_path: Path) -> None:
    held = [os.open(tmp_path, os.O_PATH), os.open("/dev/null", os.O_RDONLY)]
    filesystem._seen.cache_clear()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))  # none is given any more
    try:
        with pytest.raises(OSError, match="Too many open files"):
            filesystem.kind(held[0])
        Descriptors(held).close()
        assert ended(20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    for descriptor in held:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


@pytest.mark.parametrize(
    ("make", "known"),
    [
        (os.pipe, "pipe"),
        (lambda: tuple(s.detach() for s in socket.socketpair()), "socket"),
        (lambda: (os.memfd_create("x"),), "tmpfs"),
        (lambda: (os.open("/dev/null", os.O_RDONLY),), "device"),
        (lambda: (os.open("/proc/version", os.O_RDONLY),), "proc"),
        (lambda: (os.pidfd_open(os.getpid()),), None),
    ],
)
def test_what_is_the_kernels_own_is_known(make: object, known: str | None) -> None:
    descriptors = make()  # type: ignore[operator]
    for descriptor in descriptors:
        found = filesystem.kind(descriptor)
        assert found == known or (known is None and found in ("anon_inode", "pidfs", None))
        os.close(descriptor)


def test_structures_are_read_where_the_kernel_writes_them(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    descriptor = os.open(tmp_path / "x", os.O_RDONLY)
    mode, device, mount = filesystem._status(descriptor)
    status = os.fstat(descriptor)
    assert (mode, device) == (status.st_mode, (os.major(status.st_dev), os.minor(status.st_dev)))
    assert filesystem.connection(descriptor) == (None if device[0] else device[1])
    other = os.open("/proc/version", os.O_RDONLY)
    assert filesystem._status(other)[2] != mount or not mount
    os.close(other)
    os.close(descriptor)
    assert struct.calcsize("=HII") == 10
