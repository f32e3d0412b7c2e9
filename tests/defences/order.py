# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes some order of what several callers do at once; tests/machine/containers/test_model.py proves the whole."""

from __future__ import annotations

from defences.table import Defence

ORDER = (
    Defence(
        "a container is changed by one caller at a time",
        "service/mctld/lifecycle/precedence.py",
        "self.change = asyncio.Lock()",
        "self.change = asyncio.Semaphore(9)",
        "tests/unit/test_precedence.py -k follows",
    ),
    Defence(
        "nobody comes between the end and the new start of a restart",
        "service/mctld/lifecycle/precedence.py",
        "while self.is_anothers and",
        "while False and",
        "tests/unit/test_precedence.py -k between",
    ),
    Defence(
        "who has waited does nothing to a container that got another name meanwhile",
        "service/mctld/lifecycle/precedence.py",
        "if self._container.name != name:",
        "if False:",
        "tests/unit/test_precedence.py -k renamed",
    ),
)
