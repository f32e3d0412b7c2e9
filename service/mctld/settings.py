# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie on the host, and what users may have of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import journal_settings, network_settings
from .quotas import DEFAULTS, Quotas

if TYPE_CHECKING:
    from .journal_settings import JournalSettings
    from .network_settings import NetworkSettings


@dataclass(frozen=True, slots=True)
class Settings:
    state_directory: str = "/var/lib/mctl"
    runtime_directory: str = "/run/mctl"
    contract_directory: str = "/usr/share/dbus-1/interfaces"
    quotas: Quotas = DEFAULTS
    network: NetworkSettings = network_settings.DEFAULTS
    journal: JournalSettings = journal_settings.DEFAULTS

    @property
    def database(self) -> str:
        return f"{self.state_directory}/state.db"

    @property
    def containers(self) -> str:
        return f"{self.state_directory}/containers"

    @property
    def last_resort(self) -> str:
        """Where the database is worked on while its disk is read-only."""
        return f"{self.runtime_directory}/read-only/state.db"

    @property
    def images(self) -> str:
        return f"{self.state_directory}/images"

    @property
    def volumes(self) -> str:
        return f"{self.state_directory}/volumes"

    @property
    def spawner_socket(self) -> str:
        return f"{self.runtime_directory}/spawner.sock"

    @property
    def names_socket(self) -> str:
        return f"{self.runtime_directory}/names.sock"

    @property
    def filters(self) -> str:
        return f"{self.runtime_directory}/seccomp"

    @property
    def network_record(self) -> str:
        return f"{self.runtime_directory}/network/found"

    @property
    def staging(self) -> str:
        return f"{self.runtime_directory}/staging"

    @property
    def health(self) -> str:
        return f"{self.runtime_directory}/health"
