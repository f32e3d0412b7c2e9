# SPDX-License-Identifier: GPL-3.0-or-later
"""mctld.conf(5): what is read, what is refused by name and line, and what the manual says of it."""

from __future__ import annotations

import re
from dataclasses import fields
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from mctld import network_settings
from mctld.bounds import INFINITY
from mctld.errors import LimitReached
from mctld.network_settings import NetworkSettings
from mctld.quotas import DEFAULTS, FIELDS, ROOT_UID, SECOND, VALUE_MAX, Quotas, read
from mctld.spec import Spec

ALICE = 1000
PAGE = Path(__file__).parents[2] / "packaging" / "man" / "mctld.conf.5"


def test_nothing_need_be_there(tmp_path: Path) -> None:
    assert read(str(tmp_path / "none"), str(tmp_path / "*.conf")) == DEFAULTS


def test_drop_ins_decide_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    main = tmp_path / "mctld.conf"
    main.write_text("# all\n[Limits]\nContainersPerOwner = 5\nCallsPerSecond=7\n")
    (tmp_path / "20-b.conf").write_text("[Limits]\nContainersPerOwner=infinity\n")
    (tmp_path / "10-a.conf").write_text("; first\n[Limits]\nContainersPerOwner=6\n")
    assert read(str(main), f"{tmp_path}/??-*.conf") == Quotas(containers=None, calls=7)
    assert caplog.messages == []


def test_the_example_of_the_manual(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    example = PAGE.read_text().partition(".SH EXAMPLE\n.nf\n")[2].partition(".fi\n")[0]
    main = tmp_path / "mctld.conf"
    main.write_text(example)
    assert read(str(main), "") == Quotas(containers=20)
    expected = NetworkSettings(host_names=False, default_subnet=IPv4Network("10.200.0.0/16"))
    assert network_settings.read(str(main), "") == expected
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ContainersPerOwner=0", "must be 1 to 1000000, or infinity"),
        ("ContainersPerOwner=-1", "must be 1 to"),
        ("ContainersPerOwner=", "must be 1 to"),
        ("ContainersPerOwner=1000001", "must be 1 to"),
        (f"ContainersPerOwner={'9' * 5000}", "must be 1 to"),
        ("ContainersPerOwner=\u0661", "must be 1 to"),
        ("ContainersPerOwner", "is ignored: [Limits] has ContainersPerOwner=, CallsPerSecond="),
        ("Containers=4", "is ignored: [Limits] has"),
        ("[Other]\nContainersPerOwner=4", "is ignored: [Limits] has"),
        ("\udcff\x1b[2J=4", "is ignored: [Limits] has"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str, said: str) -> None:
    main = tmp_path / "mctld.conf"
    main.write_bytes(f"[Limits]\nCallsPerSecond=7\n{line}\n".encode(errors="surrogateescape"))
    assert read(str(main), "") == Quotas(calls=7)
    (message,) = caplog.messages
    assert message.startswith(f"{main}:{3 + line.count(chr(10))}: ")
    assert said in message
    assert message.isprintable()
    assert len(message) < 400


def test_how_long_a_container_may_take_to_stop() -> None:
    quotas = Quotas(stop_timeout=60)
    quotas.check_stop_timeout(60 * SECOND, ALICE)
    quotas.check_stop_timeout(INFINITY, ROOT_UID)
    Quotas(stop_timeout=None).check_stop_timeout(INFINITY, ALICE)
    unasked: Any
    (unasked,) = (field.default for field in fields(Spec) if field.name == "timeout_stop_usec")
    Quotas(stop_timeout=5).check_stop_timeout(unasked, ALICE)
    told = r"a container of user 1000 may take 60 s to stop \(StopTimeoutMax= in mctld.conf\(5\)\), not "
    for asked, said in ((60 * SECOND + 500_000, "60.5 s"), (INFINITY, "for ever")):
        with pytest.raises(LimitReached, match=told + said):
            quotas.check_stop_timeout(asked, ALICE)
    assert [quotas.patience(asked, ALICE) for asked in (0, 5, INFINITY)] == [0, 5, 60 * SECOND]
    assert quotas.patience(INFINITY, ROOT_UID) == INFINITY


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read(str(tmp_path), "") == DEFAULTS
    assert "cannot be read: Is a directory" in caplog.text


def test_the_manual_has_every_option_with_its_default() -> None:
    text, _, network = PAGE.read_text().partition(".SH [NETWORK]")
    told = dict(re.findall(r"^\.I (\w+)=\n.*?^Default: (\d+)\.", text, re.MULTILINE | re.DOTALL))
    assert told == {key: str(getattr(DEFAULTS, name)) for key, name in FIELDS.items()}
    assert {field.name for field in fields(Quotas)} == set(FIELDS.values())
    assert f"from 1 to {VALUE_MAX}," in text
    assert f"Default: {network_settings.DEFAULT_SUBNET}.\n" in network
