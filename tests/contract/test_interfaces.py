# SPDX-License-Identifier: GPL-3.0-or-later
"""dbus/*.xml, the polkit policy and the authority say the same."""

from __future__ import annotations

import os
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from mctld import errors
from mctld.bus.ability import CAN, MAKING, STATELESS, STATES
from mctld.bus.authority import RULES
from mctld.bus.contract import ACTION, Contract, snake
from mctld.bus.door import checked_contract
from mctld.bus.standard import MEMBER

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "dbus").glob("*.xml"))
DOC = "org.gtk.GDBus.DocString"
EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"
KEEPING_IS_NO_WAY_TO_BECOME_ROOT = {
    f"org.mctl1.{action}" for action in ("inspect-all", "manage", "logs", "set-limits")
}


def policy() -> dict[str, ET.Element]:
    return {a.attrib["id"]: a for a in ET.parse(ROOT / "polkit/org.mctl1.policy").iter("action")}


def notes(element: ET.Element) -> dict[str, str]:
    return {a.attrib["name"]: a.attrib["value"] for a in element.findall("annotation")}


def members(kind: str) -> list[tuple[str, ET.Element]]:
    return [
        (f"{interface.attrib['name']}.{member.attrib['name']}", member)
        for file in FILES
        for interface in ET.parse(file).iter("interface")
        for member in interface.findall(kind)
    ]


def test_the_files_are_there() -> None:
    assert {"org.mctl1.Manager.xml", "org.mctl1.Container.xml"} <= {f.name for f in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_a_file_holds_the_interface_it_is_named_after(file: Path) -> None:
    assert [i.attrib["name"] for i in ET.parse(file).iter("interface")] == [file.stem]
    assert "SPDX-License-Identifier: GPL-3.0-or-later" in file.read_text().splitlines()[2]


@pytest.mark.parametrize(("name", "member"), members("method"))
def test_methods(name: str, member: ET.Element) -> None:
    assert notes(member).get(ACTION) in RULES, f"{name} needs an action that the authority knows"
    assert len(notes(member).get(DOC, "")) > 10, f"{name} needs a DocString"
    for argument in member.findall("arg"):
        assert re.fullmatch(r"[a-z][a-z_]*", argument.attrib["name"]), name
        assert argument.attrib["direction"] in ("in", "out"), name
    types = [a.attrib["type"] for a in member.findall("arg") if a.attrib["direction"] == "in"]
    if "a{sv}" in types:
        assert types[-2:] == ["a{sv}", "t"], f"{name} must end in options and flags"


@pytest.mark.parametrize(("name", "member"), members("property"))
def test_properties(name: str, member: ET.Element) -> None:
    assert notes(member).get(ACTION) in RULES, f"{name} needs an action that the authority knows"
    assert notes(member).get(EMITS) in ("true", "const", "invalidates", "false"), f"{name} must say what it emits"
    assert notes(member).get(DOC), f"{name} needs a DocString"


@pytest.mark.parametrize(("name", "member"), members("signal"))
def test_signals(name: str, member: ET.Element) -> None:
    assert notes(member).get(DOC), f"{name} needs a DocString"


def test_members_are_camel_case_and_handlers_are_unique() -> None:
    names = [name for kind in ("method", "property", "signal") for name, _ in members(kind)]
    assert names
    for name in names:
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]+", name.rpartition(".")[2]), name
    interfaces = {name.rpartition(".")[0] for name in names}
    for interface in interfaces:
        handlers = [snake(n.rpartition(".")[2]) for n in names if n.rpartition(".")[0] == interface]
        assert len(set(handlers)) == len(handlers), interface


def test_every_member_has_a_handler() -> None:
    checked_contract(str(ROOT / "dbus"))


def test_the_policy_has_exactly_the_actions_that_are_asked_for() -> None:
    asked = {action for rule in RULES.values() if rule for action in (rule.own, rule.other) if action}
    assert set(policy()) == asked


def test_the_manual_explains_every_action() -> None:
    """Those that are alike share a paragraph, whose head names them."""
    section = (ROOT / "packaging/man/mctld.8").read_text().split(".SH POLKIT ACTIONS\n")[1].split("\n.PP\n")[0]
    heads = re.findall(r"^\.B (org\.mctl1\..*)$", section, re.MULTILINE)
    named = [name.removeprefix("org.mctl1.") for head in heads for name in head.replace("\\-", "-").split(", ")]
    assert sorted(named) == sorted(action.removeprefix("org.mctl1.") for action in policy())


def test_the_manual_of_the_interface_has_every_member_and_every_error() -> None:
    words = [ROOT / "packaging/interface-manual", ROOT / "dbus"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    page = done.stdout.replace("\\-", "-")
    for kind in ("method", "property", "signal"):
        for name, _ in members(kind):
            section = page.split(f".SH INTERFACE {name.rpartition('.')[0]}\n")[1].split("\n.SH ")[0]
            assert re.search(rf"^\.B {name.rpartition('.')[2]}\b", section, re.MULTILINE), name
    told = dict(re.findall(r"^\.B (org\.[\w.]+\.Error\.\w+)\n(.*)$", page, re.MULTILINE))
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.MctlError)]
    raised = {each.bus_name for each in classes}
    assert set(told) == raised
    assert [name for name, sentence in told.items() if not sentence.endswith(".")] == []
    assert "@INTERFACES@" not in page


def test_every_rule_is_used_by_a_member_or_decided_by_a_question() -> None:
    declared = {notes(m)[ACTION] for kind in ("method", "property") for _, m in members(kind)}
    found_by_questions = {
        "create-privileged", "exec-privileged", "publish-privileged", "update-privileged", "daemon-admin",
    }  # fmt: skip
    assert set(RULES) - declared == {f"org.mctl1.{name}" for name in found_by_questions}
    assert MEMBER not in RULES


@pytest.mark.parametrize(("action", "element"), sorted(policy().items()))
def test_actions_of_the_policy(action: str, element: ET.Element) -> None:
    assert element.findtext("description")
    assert (element.findtext("message") or "").startswith("Authentication is required to ")
    defaults = {kind.tag: kind.text for kind in element.find("defaults") or ()}
    assert set(defaults) == {"allow_any", "allow_inactive", "allow_active"}
    kept = any("keep" in (value or "") for value in defaults.values())
    assert not kept or action in KEEPING_IS_NO_WAY_TO_BECOME_ROOT, "a kept answer is not bound to the object"


@pytest.mark.skipif(not os.path.exists("/usr/bin/gdbus-codegen"), reason="gdbus-codegen is not installed")
@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_other_peoples_generators_read_it(file: Path, tmp_path: Path) -> None:
    import subprocess

    subprocess.run(["/usr/bin/gdbus-codegen", "--body", "--output", str(tmp_path / "out.c"), str(file)], check=True)


def test_every_method_says_in_which_states_it_does_something() -> None:
    """A new method of org.mctl1.Container goes into STATES or STATELESS of bus/ability.py, for Can."""
    methods = set(Contract(str(ROOT / "dbus"))["org.mctl1.Container"].methods)
    assert methods - {CAN} == {*STATES, *STATELESS}


def test_what_the_manager_makes_is_asked_as_the_contract_says() -> None:
    methods = Contract(str(ROOT / "dbus"))["org.mctl1.Manager"].methods
    assert {name: action for name, (action, _) in MAKING.items()} == {name: methods[name].action for name in MAKING}


def test_the_subject_is_never_a_process() -> None:
    """For polkit: a pid may be somebody else's by now, CVE-2013-4288."""
    files = sorted((ROOT / "service" / "mctld").rglob("*.py"))
    assert len(files) > 100
    assert [file for file in files if "unix-process" in file.read_text()] == []
