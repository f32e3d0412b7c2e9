# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build takes for the work of an earlier one: nothing that somebody else may have written."""

from __future__ import annotations

import json
from typing import Any

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
