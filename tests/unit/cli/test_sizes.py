# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers, signals and times as people type them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mctl.failures import UsageError
from mctl.moments import moment
from mctl.signals import number
from mctl.sizes import INFINITY, LARGEST, seconds, size, size_or_unlimited, whole


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1048576", 1 << 20),
        ("512k", 512 << 10),
        ("256m", 256 << 20),
        ("256M", 256 << 20),
        ("256mb", 256 << 20),
        ("256MiB", 256 << 20),
        ("1g", 1 << 30),
        ("1.5g", 3 << 29),
        (".5k", 512),
        ("2t", 2 << 40),
        ("10b", 10),
    ],
)
def test_size(text: str, value: int) -> None:
    assert size("--memory", text) == value


@pytest.mark.parametrize(
    "text",
    ["", "12q", "m", "1 m", "-1", "+1", "1e9", "1_000", "1..5g", "0x10", "٣", "1mm", "1ib", ".", "nan", "1" * 99],
)
def test_size_refused_by_flag_and_value(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        size("--memory", text)
    assert "--memory" in str(raised.value)
    assert repr(text) in str(raised.value)


def test_size_bound() -> None:
    assert size("-m", str(LARGEST)) == LARGEST
    with pytest.raises(UsageError, match=f"-m {LARGEST + 1} is too large: the most is {LARGEST}"):
        size("-m", str(LARGEST + 1))
    with pytest.raises(UsageError, match="too large"):
        size("-m", "9999999999t")


@pytest.mark.parametrize("text", ["max", "-1", "infinity", "UNLIMITED"])
def test_unlimited(text: str) -> None:
    assert size_or_unlimited("--swap", text) == INFINITY


@given(st.text())
def test_size_never_fails_otherwise(text: str) -> None:
    try:
        value = size("--memory", text)
    except UsageError:
        return
    assert 0 <= value <= LARGEST


@pytest.mark.parametrize(("text", "good"), [("1", True), ("10", True), ("0", False), ("11", False), ("-1", False)])
def test_whole_bounds(text: str, good: bool) -> None:  # noqa: FBT001
    if good:
        assert whole("--x", text, 1, 10) == int(text)
        return
    with pytest.raises(UsageError, match=f"--x {text} is out of range: give a number from 1 to 10"):
        whole("--x", text, 1, 10)


@pytest.mark.parametrize("text", ["", "a", "1.5", "1 ", "²", "--1", "9" * 30])
def test_whole_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--x"):
        whole("--x", text, 1, 10)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("10", 10_000_000), ("0.5", 500_000), ("infinity", INFINITY)])
def test_seconds(text: str, value: int) -> None:
    assert seconds("-t", text) == value


@pytest.mark.parametrize("text", ["", "-2", "5s", "1e3", "nan", "inf", "9" * 30])
def test_seconds_refused(text: str) -> None:
    with pytest.raises(UsageError, match="-t"):
        seconds("-t", text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("9", 9), ("KILL", 9), ("SIGKILL", 9), ("sigterm", 15), ("hup", 1), ("64", 64), ("RTMIN+3", 37), ("RTMAX-1", 63)],
)
def test_signal(text: str, value: int) -> None:
    assert number("-s", text) == value


@pytest.mark.parametrize(
    "text", ["", "0", "65", "-9", "NOSUCH", "SIG", "_IGN", "RTMIN+31", "RTMAX-31", "RTMIN+x", "1.5", "٩"]
)
def test_signal_refused(text: str) -> None:
    with pytest.raises(UsageError, match="1 to 64"):
        number("-s", text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("@1700000000", 1_700_000_000),
        ("1700000000.5", 1_700_000_000.5),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000),
        ("@0", 0),
    ],
)
def test_moment(text: str, value: float) -> None:
    assert moment("--since", text) == value * 1_000_000


def test_moment_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    try:
        assert moment("--since", "2023-11-15 00:13:20") == 1_700_000_000_000_000
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("text", "age"), [("90s", 90), ("5m", 300), ("2h", 7200), ("1h30m", 5400), ("3d", 259200), ("5 min ago", 300)]
)
def test_moment_ago(text: str, age: int) -> None:
    assert abs(time.time() - age - moment("--since", text) / 1_000_000) < 5


@pytest.mark.parametrize("text", ["", "soon", "5", "5y", "12:99", "2024-13-01", "@-1", "m", "@", "0001-01-01"])
def test_moment_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        moment("--since", text)


@given(st.text())
def test_moment_never_fails_otherwise(text: str) -> None:
    try:
        assert moment("--since", text) >= 0
    except UsageError:
        return
