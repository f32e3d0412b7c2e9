# SPDX-License-Identifier: GPL-3.0-or-later
"""Each error name means one sentence and one exit status."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mctl.failures import FREEDESKTOP, MCTL, TABLE, failure

SERVICE_ERRORS = Path(__file__).resolve().parents[3] / "service" / "mctld" / "errors.py"


@pytest.mark.parametrize("name", TABLE)
def test_every_error_is_one_sentence(name: str) -> None:
    error = failure(name, "The reason.", status=1)
    sentence = str(error)
    assert "The reason" in sentence
    assert "\n" not in sentence
    assert "..;" not in sentence
    assert error.name == name


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (MCTL + "CommandNotFound", 127),
        (MCTL + "CommandNotExecutable", 126),
        (MCTL + "NameTaken", 125),
        (FREEDESKTOP + "AccessDenied", 125),
        ("com.example.Unheard", 125),
    ],
)
def test_status(name: str, status: int) -> None:
    assert failure(name, "x", status=125).status == status


@pytest.mark.parametrize(
    ("sentence", "advice"),
    [
        ("there is no network 'x'", "; `mctl network ls` lists them"),
        ("there is no volume 'x'", "; `mctl volume ls` lists them"),
        ("there is no exec 'x'", ""),
    ],
)
def test_what_is_not_there_is_listed_elsewhere(sentence: str, advice: str) -> None:
    assert str(failure(FREEDESKTOP + "UnknownObject", sentence, status=1)) == sentence + advice


def test_a_missing_image_or_container_is_listed_elsewhere() -> None:
    image = failure("org.mctl1.Error.NoSuchImage", "there is no image 'x'", status=1)
    assert str(image) == "there is no image 'x'; `mctl images` lists them"
    assert image.text == "there is no image 'x'"
    container = failure("org.mctl1.Error.NoSuchContainer", "there is no container 'x'", status=1)
    assert str(container) == "there is no container 'x'; `mctl ps -a` lists them"


def test_unknown_error_is_named() -> None:
    assert str(failure("com.example.Unheard", "something", status=1)) == "something (com.example.Unheard)"
    assert "com.example.Unheard" in str(failure("com.example.Unheard", "", status=1))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("ServiceUnknown", "mctl check"),
        ("NoReply", "mctl ps -a"),
        ("AccessDenied", "polkit"),
        ("InteractiveAuthorizationRequired", "--no-ask-password"),
        ("UnknownMethod", "systemctl restart mctld"),
    ],
)
def test_advice(name: str, advice: str) -> None:
    assert advice in str(failure(FREEDESKTOP + name, "", status=1))


def test_every_error_of_the_service_is_known_here() -> None:
    """The service's names are read from its source: nothing of it is imported, as in the command line itself."""
    tree = ast.parse(SERVICE_ERRORS.read_text())
    names = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and ".Error." in node.value
    }
    names = {name for name in names if " " not in name}
    assert len(names) > 15
    # Two that speak for themselves: a read-only property is never written, and Failed carries its own sentence.
    assert names - TABLE.keys() <= {FREEDESKTOP + "PropertyReadOnly", MCTL + "Failed"}
