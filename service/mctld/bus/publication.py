# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call of Container.Publish asks for, judged before anybody is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .question import MANAGE, PUBLISH_PRIVILEGED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..ports import Port
    from .question import Question


def publishing(about: Question) -> Question:
    """`about` is the container's, with the ports as its argument. Those below 1024 are as much as at its creation."""
    ports: Iterable[Port] = about.args[0]  # type: ignore[assignment]  # as ContainerObject has checked them
    words = " ".join(map(str, ports))
    privileged = any(port.is_privileged for port in ports)
    effect = "publish $(ports) of the container $(container)" + (" of user $(owner)" if about.subject else "")
    return replace(
        about,
        actions=(MANAGE, PUBLISH_PRIVILEGED) if privileged else (MANAGE,),
        effect=effect,
        details={**about.details, "ports": words},
        said={"ports": words},
        blind_effect="publish $(ports) of the container $(container)",
    )
