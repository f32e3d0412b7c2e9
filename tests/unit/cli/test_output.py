# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and programs read."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mctl.commands.ps import listing, status
from mctl.failures import UsageError
from mctl.output import INFINITY, printable, span, table, to_json, write_all
from mctl.parser import Arguments
from mctl.template import ELSEWHERE, as_text, fields_of, render
from mctl.template import listing as lines
from mctl.visible import Escaper

DBUS = Path(__file__).parents[3] / "dbus"


@pytest.mark.parametrize(
    ("template", "named"),
    [("", set()), ("a", set()), ("{{.Name}}\\t{{ json .Labels.team }}", {"Name", "Labels"}), ("{{json .}}", {""})],
)
def test_what_a_template_names(template: str, named: set[str]) -> None:
    assert fields_of(template) == named


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (2 * 86400 - 1, "47 h"),
        (2 * 86400, "2 d"),
        (14 * 86400, "2 wk"),
        (400 * 86400, "1 y"),
    ],
)
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ünï 😀", "plain – ünï 😀"),
        ("a\x1b[2Jb", r"a\e[2Jb"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x00\x7f\x9b", r"\x00\x7f\x9b"),
        ("\u202egnp.exe\u2028", r"\u202egnp.exe\u2028"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_printable_keeps() -> None:
    assert printable("a\nb\t\x1b", keep="\n\t") == "a\nb\t\\e"


@given(st.binary(), st.integers(1, 7))
def test_escaper_lets_no_control_character_through(data: bytes, step: int) -> None:
    escaper = Escaper()
    chunks = [escaper.feed(data[i : i + step]) for i in range(0, len(data), step)]
    text = b"".join([*chunks, escaper.finish()]).decode()
    assert not any((ord(c) < 0x20 and c not in "\n\t") or 0x7F <= ord(c) <= 0x9F for c in text)


@given(st.text(st.characters(blacklist_categories=["C"])), st.integers(1, 7))
def test_escaper_keeps_split_characters(text: str, step: int) -> None:
    data = text.encode()
    escaper = Escaper()
    chunks = [escaper.feed(data[i : i + step]) for i in range(0, len(data), step)]
    expected = printable(text, keep="\n\t")
    assert b"".join([*chunks, escaper.finish()]).decode() == expected


def test_table() -> None:
    assert table(("A", "LONG"), [("1", "x"), ("333", "\x1b")]) == "A    LONG\n1    x\n333  \\e\n"


def test_json() -> None:
    value = {"MemoryMax": INFINITY, "list": [INFINITY, "é\x1b"], "b": True, "n": 1}
    assert json.loads(to_json(value, pretty=False)) == {"MemoryMax": None, "list": [None, "é\x1b"], "b": True, "n": 1}
    assert to_json({}, pretty=False) == "{}\n"
    assert "\n  " in to_json(value, pretty=True)
    assert "\x1b" not in to_json(value, pretty=True)


FIELDS: dict[str, Any] = {"Name": "web", "Command": ["a", "b c"], "Labels": {"team": "x"}, "M": INFINITY, "On": True,
    "Ports": [["tcp", 80]], "Limits": {"A": [1, INFINITY]}}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name}}", "web"),
        ("{{ .Name }} is {{.On}}", "web is true"),
        ("{{.Name}}\\t{{.Command}}", "web\ta b c"),
        ("{{json .Command}}", '["a", "b c"]'),
        ("{{.Labels.team}}{{.Labels.none}}", "x"),
        ("{{.Labels}} {{.M}}", "team=x infinity"),
        ("plain }} {", "plain }} {"),
        ("{{.Ports}} {{.Limits}}", '[["tcp", 80]] {"A": [1, null]}'),
    ],
)
def test_template(template: str, text: str) -> None:
    assert render(template, FIELDS) == f"{text}\n"


def test_template_of_everything() -> None:
    assert json.loads(render("{{json .}}", FIELDS))["M"] is None


@pytest.mark.parametrize(
    "template", ["{{.Name", "{{Name}}", "{{}}", "{{.Nope}}", "{{json}}", "{{range .Labels}}", "{{.Name.x}}"]
)
def test_template_refused(template: str) -> None:
    with pytest.raises(UsageError, match="--format"):
        render(template, FIELDS)


def test_unknown_field_is_answered_with_the_known() -> None:
    with pytest.raises(UsageError, match=r"no field \.Nope; there are Command, Labels, Limits, M, Name, On, Ports"):
        render("{{.Nope}}", FIELDS)
    with pytest.raises(UsageError, match=r"no field \.Nope; {{json \.}} shows all"):
        render("{{.Nope}}", FIELDS | dict.fromkeys(map(str, range(100))))
    with pytest.raises(UsageError, match=r"no field \.Nmae .did you mean \.Name\?"):
        render("{{.Nmae}}", FIELDS)


def test_a_field_of_dockers_is_answered_with_its_name_here() -> None:
    with pytest.raises(UsageError, match=r"no field \.State\.Status; it is \.State here"):
        render("{{.State.Status}}", {"State": "running"})
    with pytest.raises(UsageError, match=r"no field \.State\.Error .did you mean \.State\?"):
        render("{{.State.Error}}", {"State": "running"})


def test_what_dockers_names_are_called_here_is_there() -> None:
    of_containers = set(re.findall(r'<property name="(\w+)"', (DBUS / "org.mctl1.Container.xml").read_text()))
    of_images = set(re.findall(r'<property name="(\w+)"', (DBUS / "org.mctl1.Image.xml").read_text()))
    assert set(ELSEWHERE.values()) <= of_containers | of_images


def test_table_of_a_template() -> None:
    web: dict[str, Any] = {"Name": "web\t", "Labels": {"team": "x"}}
    rows: list[tuple[dict[str, Any], dict[str, Any]]] = [(web, {}), ({"Name": "db", "Labels": {}}, {})]
    assert lines("table {{.Name}}\\tof {{.Labels.team}}\tx", rows) == (
        "NAME   of TEAM  x\nweb\\t  of x     x\ndb     of       x\n"
    )


def test_as_text_of_a_limit() -> None:
    assert as_text(INFINITY) == "infinity"


NOW = 1_700_000_000.0


def container(**fields: object) -> dict[str, Any]:
    return {
        "Name": "web",
        "Id": "0123456789abcdef0123456789abcdef",
        "OwnerUID": 0,
        "State": "running",
        "Command": ["/bin/sh", "-c", "sleep 10000000000000"],
        "CreateTimestamp": int(NOW) * 1_000_000,
        "StartTimestamp": int(NOW - 180) * 1_000_000,
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "running 3 min"),
        ({"State": "created"}, "created"),
        ({"State": "somethingnew"}, "somethingnew"),
        ({"State": "exited", "ExitHow": "exited", "ExitStatus": 3}, "exited (3) 5 h ago"),
        ({"State": "exited", "ExitHow": "killed", "ExitStatus": 9}, "killed (9) 5 h ago"),
        ({"State": "exited", "ExitHow": "oom", "ExitStatus": 9}, "oom (9) 5 h ago"),
        ({"State": "exited", "ExitHow": "unknown"}, "exited (unknown) 5 h ago"),
        ({"State": "exited", "ExitHow": "never-started"}, "never-started 5 h ago"),
    ],
)
def test_status(fields: dict[str, object], text: str) -> None:
    assert status(container(ExitTimestamp=int(NOW - 5 * 3600) * 1_000_000, **fields), NOW) == text


def listed(containers: list[dict[str, Any]], **options: object) -> str:
    return listing(containers, Arguments(dict(options), []))


def test_listing() -> None:
    ports = [["tcp", "", 8080, 80, 1], ["udp", "::1", 5000, 5000, 3]]
    text = listed([container(Image="example.org/web:1"), container(Name="db", Id="f" * 32, Ports=ports)])
    heads, first, second = text.splitlines()
    assert heads.split() == ["NAME", "ID", "STATE", "OWNER", "IMAGE", "COMMAND", "CREATED", "PORTS"]
    assert " example.org/web:1 " in first
    assert second.endswith(" 0.0.0.0:8080->80/tcp, [::1]:5000-5002->5000-5002/udp")
    assert first.startswith("web   0123456789ab  running ")
    assert "/bin/sh -c sleep 100000000000…" in first
    assert second.startswith("db    ffffffffffff")


def test_listing_whole() -> None:
    assert "0123456789abcdef0123456789abcdef" in listed([container()], no_trunc=True)
    assert "sleep 10000000000000 " in listed([container()], no_trunc=True)


def test_listing_of_ids() -> None:
    assert listed([container()], quiet=True) == "0123456789ab\n"
    assert listed([container()], format="ids", no_trunc=True) == "0123456789abcdef0123456789abcdef\n"


def test_listing_as_json() -> None:
    assert json.loads(listed([container()], format="json"))[0]["Name"] == "web"
    assert listed([], json="short") == "[]\n"


def test_listing_by_template() -> None:
    assert listed([container()], format="{{.Names}} {{.ID}} {{.Owner}} {{.State}}") == "web 0123456789ab root running\n"


def test_listing_by_template_shows_ports_as_the_table_does() -> None:
    found = listed([container(Ports=[["tcp", "", 8080, 80, 1]], Rootfs="/srv")], format="{{.Ports}} {{.Image}}")
    assert found == "0.0.0.0:8080->80/tcp /srv\n"
    assert listed([container(Ports=[["tcp", "", 1, 2, 1]])], format="{{json .Ports}}") == '[["tcp", "", 1, 2, 1]]\n'


def test_listing_by_template_as_a_table() -> None:
    found = listed([container()], format="table {{.ID}}\t{{.Names}}")
    assert found == "ID            NAMES\n0123456789ab  web\n"


def test_listing_cannot_be_broken_by_a_command() -> None:
    text = listed([container(Command=["\x1b[2J\nweb  running"])])
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text


def test_write_all_waits_for_a_full_pipe() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = os.urandom(1 << 20)
    got: list[bytes] = []

    def drain() -> None:
        while chunk := os.read(reading, 65536):
            got.append(chunk)

    thread = threading.Thread(target=drain)
    thread.start()
    write_all(writing, data)
    os.close(writing)
    thread.join()
    os.close(reading)
    assert b"".join(got) == data
