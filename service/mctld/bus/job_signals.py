# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells subscribers of jobs that have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import manager
from .paths import ROOT, job_path

if TYPE_CHECKING:
    from .engine import Job
    from .signals import Herald


class JobHerald:
    """A listener of the transfers."""

    def __init__(self, herald: Herald) -> None:
        self._herald = herald

    def removed(self, job: Job) -> None:
        body = [job_path(job.id), job.id, job.state]
        self._herald.tell(frozenset((job.owner_uid,)), ROOT, manager.INTERFACE, "JobRemoved", lambda: body)
