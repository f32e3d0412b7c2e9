# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive may be a million compressed streams of nothing: what each costs does not grow with what follows it."""

from __future__ import annotations

import gzip
import io
import lzma
import random
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from mctld.images.decompression import PIECE, SLICE, SLICE_MAX, Inflow

if TYPE_CHECKING:
    from collections.abc import Callable


class Recorder:
    """Stands for a decompressor, and keeps how much it was given at once."""

    def __init__(self, real: Any, given: list[int]) -> None:
        self._real, self._given = real, given

    def decompress(self, data: bytes, most: int) -> bytes:
        self._given.append(len(data))
        found: bytes = self._real.decompress(data, most)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def recorded(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[int]:
    given: list[int] = []
    real = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *words, **more: Recorder(real(*words, **more), given))
    return given


both = pytest.mark.parametrize(
    ("compress", "module", "name"),
    [(gzip.compress, zlib, "decompressobj"), (lzma.compress, lzma, "LZMADecompressor")],
    ids=["gzip", "xz"],
)


@both
def test_a_stream_costs_no_copy_of_all_that_follows(
    monkeypatch: pytest.MonkeyPatch, compress: Callable[[bytes], bytes], module: Any, name: str
) -> None:
    given = recorded(monkeypatch, module, name)
    archive = compress(b"") * 10_000 + compress(b"begin") + compress(b"") + compress(b"end")
    assert b"".join(Inflow(io.BytesIO(archive).read)) == b"beginend"
    assert max(given) < len(archive) / 10


@both
def test_a_long_stream_is_read_in_larger_slices_than_what_follows_it(
    monkeypatch: pytest.MonkeyPatch, compress: Callable[[bytes], bytes], module: Any, name: str
) -> None:
    data = random.Random(1).randbytes(8 * SLICE_MAX)
    archive = compress(data) + compress(b"") * 1_000 + compress(b"end")
    given = recorded(monkeypatch, module, name)
    assert b"".join(Inflow(io.BytesIO(archive).read)) == data + b"end"
    assert max(given) == SLICE_MAX
    assert max(given[-1_000:]) <= SLICE


@pytest.mark.parametrize("length", [1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE + 1, SLICE_MAX, 3 * PIECE + 5])
def test_nothing_is_lost_between_slices(length: int) -> None:
    data = bytes(range(251)) * (length // 251 + 1)
    for compress in (lambda text: gzip.compress(text, 0), lzma.compress):
        archive = io.BytesIO(compress(data[:length]))
        assert b"".join(Inflow(archive.read)) == data[:length]
