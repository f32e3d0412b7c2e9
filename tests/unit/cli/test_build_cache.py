# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build takes for the work of an earlier one: nothing that somebody else may have written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mctl.building.cache import goes_on
from mctl.building.service import Service


class Answers:
    """In place of a client: two images with the same words for how they came about."""

    def manager(self, _member: str, _signature: str, *_given: object) -> list[list[dict[str, tuple[str, Any]]]]:
        history = json.dumps({"history": [{"created_by": "RUN make"}]})
        return [
            [
                {
                    "Id": ("s", identity), "Layers": ("as", ["base", layer]),
                    "Configuration": ("s", history), "ImportTimestamp": ("t", when),
                    "MadeHere": ("b", made_here),
                }
                for identity, layer, when, made_here in (
                    ("pulled", "foreign", 3, False), ("older", "own", 1, True), ("newer", "own", 2, True),
                )
            ]
        ]  # fmt: skip


def test_what_was_pulled_is_no_cache() -> None:
    """Its history is only its maker's word; docker too asks for it with --cache-from."""
    answers: Any = Answers()
    service = Service(answers, answers, {}, None)
    assert [each.id for each in service.made_images()] == ["newer", "older"]


BASE = {"Env": ["PATH=/bin"], "Entrypoint": ["sh"], "Labels": None}
POISONED = {"Env": ["PATH=/bin", "LD_PRELOAD=x.so"], "Entrypoint": ["/tmp/x"], "User": "evil", "OnBuild": ["RUN x"]}


@pytest.mark.parametrize("poison", POISONED)
def test_what_was_built_on_anothers_settings_is_no_cache(poison: str) -> None:
    """Its layers and its history are those of the base: that is for whoever has made it to say."""
    assert goes_on(BASE, {}, {**BASE, "Labels": {}, "ExposedPorts": {}})
    assert not goes_on(BASE, {}, {**BASE, poison: POISONED[poison]})


def test_what_is_said_may_have_changed() -> None:
    said: Any = {"Environment": ("as", ["A=b", "C=d"]), "Command": ("as", ["x"]), "Labels": ("a{ss}", {"k": "v"})}
    after = {**BASE, "Env": ["PATH=/bin", "A=b", "C=d"], "Cmd": ["x"], "Labels": {"k": "v"}}
    assert goes_on(BASE, said, after)
    assert goes_on({}, said, {**after, "Env": ["A=b", "C=d"], "Entrypoint": None})
    assert not goes_on(BASE, said, {**after, "Env": ["PATH=/bin", "A=b C=d"]}), "told in the same words"
