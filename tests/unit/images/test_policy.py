# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host's policy says of an image is what skopeo would do: the nearest scope decides, alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mctld.images.policy import is_signed
from mctld.reference import Reference

if TYPE_CHECKING:
    from pathlib import Path

ANY, NONE = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]
KEY = [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/key"}]
BOTH = [*ANY, {"type": "sigstoreSigned", "keyPath": "/key"}]
DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(("scopes", "name", "signed"), [
    ({}, "example.org/a", True),
    ({"": ANY}, "example.org/a", False),
    ({"": ANY, "example.org": KEY}, "example.org/team/a:1", True),
    ({"": ANY, "example.org": KEY}, "example.org:5000/team/a:1", False),
    ({"": ANY, "example.org:5000": KEY}, "example.org:5000/team/a:1", True),
    ({"example.org/team": ANY, "example.org": KEY}, "example.org/team/a:1", False),
    ({"example.org/team": ANY}, "example.org/team2/a:1", True),
    ({"example.org/team/a:1": BOTH, "": ANY}, "example.org/team/a:1", True),
    ({"example.org/team/a:1": BOTH, "": ANY}, "example.org/team/a:2", False),
    ({f"example.org/a@{DIGEST}": KEY, "": ANY}, f"example.org/a@{DIGEST}", True),
    ({"*.example.org": KEY, "": ANY}, "eu.example.org/a", True),
    ({"*.example.org": KEY, "": ANY}, "a.eu.example.org/a", True),
    ({"*.example.org": KEY, "": ANY}, "example.org/a", False),
    ({"*.example.org": NONE}, "eu.example.org/a", False),
    ({"docker.io/library": ANY}, "docker.io/nginx", False),
])  # fmt: skip
def test_the_nearest_scope_decides(tmp_path: Path, scopes: dict[str, Any], name: str, signed: bool) -> None:  # noqa: FBT001
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"default": KEY, "transports": {"docker": scopes, "oci": {"": ANY}}}))
    assert is_signed(Reference.parse_any(name), str(path)) is signed


@pytest.mark.parametrize("text", [
    "", "[]", "{", '{"default": 1}', '{"default": [1]}', '{"transports": []}', "[" * 100_000,
])  # fmt: skip
def test_a_policy_that_makes_no_sense(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(text)
    assert not is_signed(Reference.parse("example.org/a"), str(path))
    assert not is_signed(Reference.parse("example.org/a"), str(tmp_path / "none"))
