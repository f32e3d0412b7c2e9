# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled filters are kept in memory and in files, and a file is believed only if it is ours and whole."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from mctld import capability
from mctld.errors import InvalidArgs
from mctld.runtime.seccomp import filters as filters_module
from mctld.runtime.seccomp import program, shelf, worker
from mctld.runtime.seccomp.filters import Filters
from unit import bpf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEFAULT = frozenset(capability.DEFAULT)
OWN = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_TRAP"}]})


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "seccomp"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What has been compiled, here or apart."""
    done: list[object] = []
    here, apart = program.compile_profile, worker.compile_apart

    def count_here(rules: Any) -> bytes:
        done.append(rules)
        return here(rules)

    def count_apart(text: str, caps: frozenset[str]) -> bytes:
        done.append(text)
        return apart(text, caps)

    monkeypatch.setattr(program, "compile_profile", count_here)
    monkeypatch.setattr(worker, "compile_apart", count_apart)
    return done


@pytest.fixture
def opened(directory: Path) -> Iterator[Callable[..., bytes]]:
    """The program that a new service gets, or an old one."""
    services: list[Filters] = []

    def code(profile: str = "default", caps: frozenset[str] = DEFAULT, *, service: Filters | None = None) -> bytes:
        if service is None:
            service = Filters(str(directory))
            services.append(service)
        descriptor = asyncio.run(service.open(profile, caps))
        assert descriptor is not None
        try:
            return os.pread(descriptor, 1 << 20, 0)
        finally:
            os.close(descriptor)

    yield code
    for service in services:
        service.close()


def test_unconfined_has_none(directory: Path) -> None:
    assert asyncio.run(Filters(str(directory)).open("unconfined", DEFAULT)) is None


def test_a_filter_is_compiled_once(directory: Path, opened: Callable[..., bytes], compilations: list[object]) -> None:
    service = Filters(str(directory))
    first = opened(service=service)
    assert opened(service=service) == first
    assert opened() == first  # another instance, from the file
    assert len(compilations) == 1
    assert opened("strict") != first
    assert opened(caps=DEFAULT | {"SYS_ADMIN"}) != first
    assert len(compilations) == 3
    service.close()


def test_many_starts_at_once_compile_once(directory: Path, compilations: list[object]) -> None:
    service = Filters(str(directory))

    async def act() -> list[int | None]:
        return await asyncio.gather(*(service.open("default", DEFAULT) for _ in range(20)))

    descriptors = asyncio.run(act())
    assert len(compilations) == 1
    assert len(set(descriptors)) == 20
    for descriptor in descriptors:
        assert descriptor is not None
        os.close(descriptor)
    service.close()


def test_the_directory_is_ours_alone(directory: Path, opened: Callable[..., bytes]) -> None:
    opened()
    assert directory.stat().st_mode & 0o777 == 0o700
    (file,) = directory.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def tamper_size(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-8])


def tamper_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def tamper_mode(file: Path) -> None:
    file.chmod(0o666)


def tamper_owner(file: Path) -> None:
    os.chown(file, 1000, 1000)


def tamper_kind(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def tamper_link(file: Path) -> None:
    target = file.rename(file.parent.parent / "elsewhere")
    file.symlink_to(target)


def tamper_empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize(
    "tamper", [tamper_size, tamper_bit, tamper_mode, tamper_owner, tamper_kind, tamper_link, tamper_empty]
)
def test_a_file_that_is_not_wholly_ours_is_made_anew(
    directory: Path, opened: Callable[..., bytes], compilations: list[object], tamper: Callable[[Path], None]
) -> None:
    if tamper is tamper_owner and os.geteuid() != 0:
        pytest.skip("gives a file away: needs root")
    code = opened()
    (file,) = directory.iterdir()
    tamper(file)
    assert opened() == code
    assert len(compilations) == 2
    assert file.is_file()
    assert not file.is_symlink()
    assert opened() == code
    assert len(compilations) == 2


def test_a_filter_under_the_name_of_another_is_not_taken(directory: Path, opened: Callable[..., bytes]) -> None:
    wide = opened(caps=frozenset(capability.NUMBERS))
    (wide_file,) = directory.iterdir()
    narrow = opened()
    (narrow_file,) = set(directory.iterdir()) - {wide_file}
    narrow_file.write_bytes(wide_file.read_bytes())
    assert opened() == narrow != wide


def test_what_is_kept_is_bounded(
    directory: Path, opened: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters_module, "HELD_MAX", 2)
    monkeypatch.setattr(shelf, "FILES_MAX", 3)
    service = Filters(str(directory))
    names = sorted(capability.NUMBERS)
    before = len(os.listdir("/proc/self/fd"))
    for name in names[:6]:
        opened("strict" if name == names[0] else "default", frozenset({name}), service=service)
    assert len(os.listdir("/proc/self/fd")) == before + 2
    assert len(list(directory.iterdir())) == 3
    service.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_directory_that_cannot_be_written_costs_only_time(tmp_path: Path, opened: Callable[..., bytes]) -> None:
    (tmp_path / "file").touch()
    service = Filters(str(tmp_path / "file" / "seccomp"))
    assert opened(service=service)
    service.close()


def test_what_is_handed_out_cannot_be_changed(directory: Path) -> None:
    service = Filters(str(directory))
    descriptor = asyncio.run(service.open("default", DEFAULT))
    assert descriptor is not None
    seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    assert seals == fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    os.close(descriptor)
    service.close()


def test_an_own_profile_is_compiled_apart_and_kept(opened: Callable[..., bytes], compilations: list[object]) -> None:
    code = opened(OWN)
    assert bpf.Machine(code)
    assert opened(OWN) == code
    assert compilations == [OWN]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no-such-profile", "'no-such-profile' is neither default"),
        ('{"defaultAction": "SCMP_ACT_NOTIFY"}', "no process that would answer"),
        (
            json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["read"], "action": action, "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}]}
                for action in ("SCMP_ACT_TRAP", "SCMP_ACT_LOG")
            ]}),
            "does not take a rule for read",
        ),
    ],
)  # fmt: skip
def test_a_bad_profile_is_a_sentence(opened: Callable[..., bytes], text: str, sentence: str) -> None:
    with pytest.raises(InvalidArgs, match=sentence):
        opened(text)


def test_a_profile_that_takes_for_ever_is_given_up(
    opened: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by trying: 21 rules of six conditions each keep libseccomp 2.5.4 busy for minutes."""
    monkeypatch.setattr(worker, "WAIT_MAX", 1)
    operators = ("NE", "LT", "GT", "EQ", "LE", "GE")
    calls = [
        {
            "names": ["ioctl"],
            "action": "SCMP_ACT_TRAP",
            "args": [
                {"index": i, "op": f"SCMP_CMP_{operators[(rule * 7 + i * 5 + rule * i) % 6]}", "value": (rule >> i) & 1}
                for i in range(6)
            ],
        }
        for rule in range(60)
    ]
    with pytest.raises(InvalidArgs, match="cannot compile the profile within 5 seconds and 512 MiB"):
        opened(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": calls}))


def test_a_worker_that_breaks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_START", "raise SystemError('broken on purpose')")
    with pytest.raises(RuntimeError, match="broken on purpose"):
        worker.compile_apart(OWN, DEFAULT)


def test_another_libseccomp_is_another_key(
    opened: Callable[..., bytes], compilations: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened()
    monkeypatch.setattr(shelf, "library_version", lambda: "99.0.0")
    opened()
    assert len(compilations) == 2
