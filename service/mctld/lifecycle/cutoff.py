# SPDX-License-Identifier: GPL-3.0-or-later
"""Updates that the service's end has cut off: what there is of one is taken back, as if it had never been."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..errors import MctlError
from . import intent, limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..spec import Spec
    from .container import Container
    from .machinery import Machinery

log = logging.getLogger(__name__)


async def end_all(machinery: Machinery, containers: Iterable[Container]) -> None:
    """After a start of the service."""
    for container in containers:
        halfway = intent.found(machinery, container.record)
        if halfway and container.state.is_active and halfway != container.spec:
            await _end(machinery, container, halfway)
        intent.drop(machinery, container.record)


async def _end(machinery: Machinery, container: Container, halfway: Spec) -> None:
    try:
        with container.lent() as process:
            await limits.restore(machinery, container.record, halfway, container.place, process)
    except (MctlError, OSError) as error:
        what = "an update was cut off, and what there is of it could not be taken back"
        log.error("Container %s: %s (%s): restart it", container.name, what, error)
    else:
        log.info("Container %s: an update was cut off, and what there was of it has been taken back", container.name)
