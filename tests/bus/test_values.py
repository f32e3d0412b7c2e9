# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure parts: names, paths, options, and what callers open."""

from __future__ import annotations

import os
import pty
import socket
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant
from hypothesis import given
from hypothesis import strategies as st

from bus.house import CONTRACT
from mctld.bounds import INFINITY
from mctld.bus import openings, options
from mctld.bus.contract import Contract, ContractError, snake
from mctld.bus.descriptors import Descriptors
from mctld.bus.door import checked_contract
from mctld.bus.paths import container_path, decode_label, encode_label
from mctld.bus.peers import Credentials
from mctld.errors import InvalidArgs, NoSuchRootfs
from mctld.kernel import filesystem
from mctld.runtime import rootfs
from mctld.spec import Rootfs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mctld.mounts import HostPath

ROOTFS = Rootfs("/srv", 1, 2)
ROOT, ALICE = Credentials(0), Credentials(1000, frozenset({1000}))


@pytest.mark.parametrize(
    ("name", "handler"),
    [
        ("Start", "start"),
        ("OwnerUID", "owner_uid"),
        ("CPUQuotaPerSecUSec", "cpu_quota_per_sec_usec"),
        ("UIDShift", "uid_shift"),
        ("MainPID", "main_pid"),
        ("TimeoutStopUSec", "timeout_stop_usec"),
        ("OpenLog", "open_log"),
        ("StartTimestampMonotonic", "start_timestamp_monotonic"),
        ("GetAll", "get_all"),
        ("IOReadBPS", "io_read_bps"),
        ("Sha256Sum", "sha256_sum"),
    ],
)
def test_handlers_are_named_after_members(name: str, handler: str) -> None:
    assert snake(name) == handler


@given(st.text(max_size=70))
def test_every_name_has_one_path(name: str) -> None:
    label = encode_label(name)
    assert decode_label(label) == name
    assert all(c.isascii() and (c.isalnum() or c == "_") for c in label)
    assert label


@given(st.text(alphabet="ab0_2dDxff9", max_size=8))
def test_every_path_has_one_name(label: str) -> None:
    name = decode_label(label)
    assert name is None or encode_label(name) == label


def test_paths_are_those_of_sd_bus_path_encode() -> None:
    assert container_path("web-1") == "/org/mctl1/container/web_2d1"
    assert encode_label("1a_.é") == "_31a_5f_2e_c3_a9"
    assert encode_label("") == "_"


def parse(given_options: dict[str, Any]) -> dict[str, Any]:
    return options.parse(given_options, options.CREATION)


@pytest.mark.parametrize("key", options.RUN)
def test_an_option_of_another_type_is_refused(key: str) -> None:
    wrong = Variant("d", 1.5)
    with pytest.raises(InvalidArgs, match=rf"option {key} must be .* \(type .*\), but another type \(type d\)"):
        options.parse({key: wrong}, options.RUN)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(InvalidArgs, match=r"option 'Memory\\nMax' is not known; known are ActivatedPorts, Add"):
        parse({"Memory\nMax": Variant("t", 1)})
    with pytest.raises(InvalidArgs, match="Stdin"):
        parse({"Stdin": Variant("h", 0)})


def test_flags() -> None:
    assert options.check_flags(1, {1: "attach"}) == 1
    with pytest.raises(InvalidArgs, match=r"flags 0x2 are not known; known are 1 \(attach\)"):
        options.check_flags(3, {1: "attach"})
    with pytest.raises(InvalidArgs, match="none: pass 0"):
        options.check_flags(1 << 63, {})


@pytest.mark.parametrize(
    ("given_limits", "memory", "swap"),
    [
        ({}, INFINITY, INFINITY),
        ({"MemoryMax": 8 << 20}, 8 << 20, 0),
        ({"MemoryMax": 8 << 20, "MemorySwapMax": 5}, 8 << 20, 5),
        ({"MemoryMax": INFINITY}, INFINITY, INFINITY),
        ({"MemorySwapMax": 7}, INFINITY, 7),
    ],
)
def test_a_limit_of_memory_alone_allows_no_swap(given_limits: dict[str, int], memory: int, swap: int) -> None:
    values = {"Command": ["/bin/true"], **given_limits}
    limits = options.spec("web", values, ROOTFS).limits
    assert (limits.memory_max, limits.memory_swap_max) == (memory, swap)


def test_bounds_of_the_specification_apply() -> None:
    for key, value in (("CPUWeight", 0), ("MemoryMax", 1 << 20), ("StopSignal", 65), ("TasksMax", 0)):
        with pytest.raises(InvalidArgs, match=key):
            options.spec("web", {"Command": ["/bin/true"], key: value}, ROOTFS)
    with pytest.raises(InvalidArgs, match="name"):
        options.spec("../x", {"Command": ["/bin/true"]}, ROOTFS)
    with pytest.raises(InvalidArgs, match="Rootfs is missing"):
        options.required({"Command": []}, "Rootfs", "Command")


def directory(path: Path | str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def test_a_root_directory(tmp_path: Path) -> None:
    fd = directory(tmp_path)
    there = os.fstat(fd)
    assert openings.rootfs(fd, ROOT) == Rootfs(str(tmp_path), there.st_dev, there.st_ino, None, rootfs.boot_id())
    os.close(fd)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to others takes root")
@pytest.mark.parametrize("judge", [openings.rootfs, openings.mount_source])
def test_ones_own_is_what_has_ones_own_group_too(tmp_path: Path, judge: Callable[..., HostPath]) -> None:
    """Root inside is in the file's group, and can make programs that run with it: never a group of others."""
    fd = directory(tmp_path)
    for uid, gid, owner in ((1000, 1000, (1000, 1000)), (1000, 50, (1000, 50)), (1000, 8, None), (1001, 1000, None)):
        os.chown(tmp_path, uid, gid)
        assert judge(fd, Credentials(1000, frozenset({1000, 50}))).owner == owner
        assert judge(fd, ROOT).owner is None
    os.close(fd)


def test_what_is_no_root_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "gone").mkdir()
    (tmp_path / "moved").mkdir()
    gone, moved = directory(tmp_path / "gone"), directory(tmp_path / "moved")
    (tmp_path / "gone").rmdir()
    (tmp_path / "moved").rename(tmp_path / "elsewhere")
    (tmp_path / "new\nline").mkdir()
    (tmp_path / "control\x1b[2J").mkdir()
    reader, writer = os.pipe()
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    cases = [
        (os.open(tmp_path / "file", os.O_RDONLY), NoSuchRootfs, "is not a directory"),
        (gone, NoSuchRootfs, "not there any more"),
        (directory(tmp_path / "new\nline"), InvalidArgs, "control character"),
        (directory(tmp_path / "control\x1b[2J"), InvalidArgs, "control character"),
        (os.open(os.fsencode(tmp_path) + b"/\xff", os.O_RDONLY), InvalidArgs, "UTF-8"),
        (reader, NoSuchRootfs, "is not a directory"),
    ]
    for fd, error, words in cases:
        with pytest.raises(error, match=words):
            openings.rootfs(fd, ALICE)
        os.close(fd)
    assert openings.rootfs(moved, ROOT).path.endswith("/elsewhere")
    os.close(moved)
    os.close(writer)


def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fd = directory(tmp_path)
    monkeypatch.setattr(os, "readlink", lambda _: "/usr")
    with pytest.raises(NoSuchRootfs, match="leads to another directory"):
        openings.rootfs(fd, ROOT)
    os.close(fd)


def test_a_fuse_directory_of_a_user_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fd = directory(tmp_path)
    monkeypatch.setattr(filesystem, "kind", lambda _: "fuse.sshfs")
    monkeypatch.setattr(openings, "os", None)
    with pytest.raises(NoSuchRootfs, match=r"fuse\.sshfs"):
        openings.rootfs(fd, ALICE)
    os.close(fd)


def test_the_type_of_a_mount(tmp_path: Path) -> None:
    for path in ("/proc", str(tmp_path)):
        fd = directory(path)
        assert (filesystem.kind(fd) == "proc") == (path == "/proc")
        os.close(fd)


def test_standard_inputs(tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    reader, writer = os.pipe()
    one, other = socket.socketpair()
    (tmp_path / "file").touch()
    file = str(tmp_path / "file")
    good = [
        reader,
        one.fileno(),
        os.open(file, os.O_RDONLY),
        os.open("/dev/null", os.O_RDONLY),
        os.open(file, os.O_RDWR),
    ]
    bad = {
        "terminal": terminal,
        "directory": directory(tmp_path),
        "O_PATH": os.open(file, os.O_PATH),
        "not open for reading": os.open(file, os.O_WRONLY),
    }
    for fd in good:
        openings.check_stdin(fd)
    for words, fd in bad.items():
        with pytest.raises(InvalidArgs, match=words):
            openings.check_stdin(fd)
    one.close()
    other.close()
    for fd in [master, writer, *bad.values(), *good[:1], *good[2:]]:
        os.close(fd)


def test_descriptors_are_closed_once() -> None:
    reader, writer = os.pipe()
    fds = Descriptors([reader, writer])
    assert fds.peek(0) == reader
    for index in (-1, 2):
        with pytest.raises(InvalidArgs, match="did not come with the message"):
            fds.peek(index)
    fds.close()
    fds.close()
    for descriptor in (reader, writer):
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(descriptor)


@pytest.mark.parametrize(
    ("wrong", "right", "words"),
    [
        ('<annotation name="org.mctl1.Action" value="org.mctl1.logs"/>', "", "OpenLog declares no org.mctl1.Action"),
        ('value="org.mctl1.logs"', 'value="org.mctl1.other"', "does not know"),
        ('<method name="OpenLog">', '<method name="OpenLogs">', "ContainerObject.open_logs is missing"),
        ('name="Name" type="s" access="read"', 'name="Name" type="s" access="readwrite"', "is readwrite"),
        ("</node>", "", "no element found"),
        ('<interface name="org.mctl1.Container">', '<interface name="org.mctl1.Box">', "no XML declares"),
    ],
)
def test_a_contract_that_does_not_fit_stops_the_service(tmp_path: Path, wrong: str, right: str, words: str) -> None:
    for file in os.listdir(CONTRACT):
        if file.endswith(".xml"):
            with open(os.path.join(CONTRACT, file), encoding="utf-8") as stream:
                text = stream.read()
            if "Container.xml" in file:
                assert wrong in text
                text = text.replace(wrong, right)
            (tmp_path / file).write_text(text)
    with pytest.raises(ContractError, match=words):
        checked_contract(str(tmp_path))


def test_a_directory_without_contract(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="holds no"):
        Contract(str(tmp_path))
