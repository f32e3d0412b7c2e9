# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan: what the stage will do, as data that can be printed, compared and tested without root."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """operation: a key of stage.OPERATIONS. does: completes the sentence "could not ..."."""

    operation: str
    does: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    steps: tuple[Step, ...]

    def encode(self) -> bytes:
        return json.dumps(
            [{"operation": s.operation, "does": s.does, "arguments": s.arguments} for s in self.steps]
        ).encode()

    def describe(self) -> str:
        return "\n".join(f"{step.operation:20} {step.does}" for step in self.steps)
