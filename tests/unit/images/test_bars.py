# SPDX-License-Identifier: GPL-3.0-or-later
"""What skopeo draws for people is read, whatever it draws; and what becomes of it in a pull's progress."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from mctld.images import blobs
from mctld.images.bars import READ_MAX, Bars
from mctld.images.blobs import BLOBS
from mctld.lifecycle.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ONE, OTHER, THIRD = (f"sha256:{digit * 64}" for digit in "123")


@pytest.fixture
def bars() -> Iterator[Bars]:
    with contextlib.closing(Bars()) as made:
        yield made


@pytest.fixture
def draw(bars: Bars, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, int]]:
    """What is read when this has come, at once."""

    def read(text: str) -> dict[str, int]:
        with monkeypatch.context() as patch:
            patch.setattr(os, "read", lambda _descriptor, _most: text.encode())
            return bars.read()

    return read


@pytest.mark.parametrize(("line", "found"), [
    ("Copying blob 2054d329ea6c [====>---] 1.9MiB / 2.9MiB\n", {"sha256:2054d329ea6c": 1_992_294}),
    ("Copying blob 2054d329ea6c [====>---] 1.9MiB / 2.9MiB | 1.1 MiB/s\n", {"sha256:2054d329ea6c": 1_992_294}),
    ("\x1b[8A\x1b[JCopying blob 2054d329ea6c [====] 698.0b / 698.0b\n", {"sha256:2054d329ea6c": 698}),
    ("Copying blob 2054d329ea6c [>] 0.0b / 1.0GiB\nCopying blob 2054d329ea6c [=>] 512.0KiB / 1.0GiB\n",
     {"sha256:2054d329ea6c": 512 << 10}),
    ("Copying blob 2054d329ea6c done   | \n", {}),
    ("Copying blob 2054d329ea6c skipped: already exists  \n", {}),
    ("Copying config 8bee87e975 [===] 698.0b / 698.0b\n", {}),
    ("Copying blob 2054d329ea6c [====>---] 1.9MiB / 2.9M", {}),  # the rest comes later
    ("Copying blob 2054d329ea6c [=] 99999999999999999999TiB / 1.0b\n", {}),
    ("Copying blob ../../etc [=] 1.0b / 1.0b\n", {}),
])  # fmt: skip
def test_what_is_drawn(draw: Callable[[str], dict[str, int]], line: str, found: dict[str, int]) -> None:
    assert draw(line) == found


def test_a_line_in_two_parts(draw: Callable[[str], dict[str, int]]) -> None:
    assert draw("Copying blob 2054d329ea6c [====>---] 1.0Ki") == {}
    assert draw("B / 2.9MiB\n") == {"sha256:2054d329ea6c": 1024}
    assert draw("\n") == {}


def test_what_never_ends_is_not_kept(draw: Callable[[str], dict[str, int]], bars: Bars) -> None:
    for _ in range(4):
        assert draw("Copying blob 2054d329ea6c " * (READ_MAX // 26)) == {}
    assert sys.getsizeof(bars._rest) < 2 * READ_MAX
    assert draw("\nCopying blob 2054d329ea6c [=] 1.0KiB / 2.0KiB\n") == {"sha256:2054d329ea6c": 1024}


def test_a_program_that_writes_there_sees_a_terminal(bars: Bars) -> None:
    script = "import os; print(os.isatty(1), *os.get_terminal_size(1)); print('Copying blob 2054d329ea6c 1.0b / 2.0b')"
    assert bars.read() == {}
    with open(bars.path or "", "wb") as terminal:
        subprocess.run([sys.executable, "-c", script], stdout=terminal, check=True)
    deadline, found = time.monotonic() + 30, dict[str, int]()
    while not found and time.monotonic() < deadline:  # the kernel passes it on in its own time
        found = bars.read()
    assert found == {"sha256:2054d329ea6c": 1}


def test_a_host_without_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> tuple[int, int]:
        raise OSError

    monkeypatch.setattr(os, "openpty", none)
    with contextlib.closing(Bars()) as bars:
        assert (bars.path, bars.read()) == (None, {})


def test_from_what_is_awaited_to_what_is_there() -> None:
    progress = Progress()
    assert progress.all() == []
    progress.fetch({"sha256:1": 5}, {ONE})  # before anything is known
    blobs_of = [(ONE, 100), (OTHER, 200), (THIRD, 300), (ONE, 100)]
    progress.expect(blobs_of, {THIRD})
    progress.fetch({"sha256:1111": 40, "sha256:3333": 9}, ())
    assert progress.all() == [[ONE, 40, 100, "fetching"], [OTHER, 0, 200, "waiting"], [THIRD, 0, 300, "here"]]
    progress.fetch({"sha256:1111": 90, "sha256:2222": 999}, {ONE})
    assert progress.all()[:2] == [[ONE, 100, 100, "fetched"], [OTHER, 200, 200, "fetching"]]
    progress.have_come(blobs_of)
    assert progress.all()[1:] == [[OTHER, 200, 200, "fetched"], [THIRD, 0, 300, "here"]]
    progress.counts = (1, 3)
    progress.unpack((ONE, 100))
    progress.unpack((OTHER, 200))
    progress.unpacked((OTHER, 200))
    assert [state for *_, state in progress.all()] == ["unpacking", "done", "here"]
    assert progress.counts == (2, 3)


def test_another_image_than_was_announced() -> None:
    progress = Progress()
    progress.expect([(ONE, 100)], {ONE})
    progress.have_come([(OTHER, 200)])
    assert progress.all() == [[OTHER, 200, 200, "fetched"]]


def test_only_what_another_user_has_put_there_has_come(tmp_path: Path) -> None:
    layout = str(tmp_path / "layout")
    assert blobs.whole(layout) == frozenset()
    blobs.prepare(layout, [ONE])
    for digest in (OTHER, THIRD):
        (tmp_path / "layout" / BLOBS / digest[7:]).write_bytes(b"x")
    (tmp_path / "layout" / BLOBS / "oci-put-blob1").write_bytes(b"x")
    assert blobs.whole(layout) == (frozenset() if os.geteuid() == 0 else {ONE, OTHER, THIRD})
    if os.geteuid() == 0:
        os.chown(tmp_path / "layout" / BLOBS / OTHER[7:], 61_184, 61_184)
        assert blobs.whole(layout) == {OTHER}
