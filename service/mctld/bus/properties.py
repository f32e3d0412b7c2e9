# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of org.mctl1.Container: each is read off the container or its spec."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from ..image import ImageRoot
from ..security import SECCOMP_PROFILES
from .target import Target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..ports import Port
    from .engine import Container


class ContainerProperties(Target):
    """A property's handler is a method without further arguments."""

    @property
    @abstractmethod
    def container(self) -> Container:
        """Raises UnknownObject where there is none."""

    def name(self) -> str:
        return self.container.name

    def id(self) -> str:
        return self.container.id

    def owner_uid(self) -> int:
        return self.container.owner_uid

    def state(self) -> str:
        return self.container.state.value

    def rootfs(self) -> str:
        root = self.container.spec.rootfs
        return "" if isinstance(root, ImageRoot) else root.path

    def image(self) -> str:
        root = self.container.spec.rootfs
        return root.path if isinstance(root, ImageRoot) else ""

    def image_id(self) -> str:
        root = self.container.spec.rootfs
        return root.image if isinstance(root, ImageRoot) else ""

    def command(self) -> list[str]:
        return list(self.container.spec.command)

    def environment(self) -> list[str]:
        return list(self.container.spec.environment)

    def working_directory(self) -> str:
        return self.container.spec.working_directory

    def hostname(self) -> str:
        return self.container.spec.hostname

    def user(self) -> str:
        return str(self.container.spec.user)

    def labels(self) -> dict[str, str]:
        return dict(self.container.spec.labels)

    def networks(self) -> list[str]:
        return [lease.network for lease in self.container.leases]

    def addresses(self) -> list[list[str]]:
        return [[lease.network, str(lease.address), str(lease.address6)] for lease in self.container.leases]

    def ports(self) -> list[list[str | int]]:
        return _listed(self.container.spec.networking.ports)

    def activated_ports(self) -> list[list[str | int]]:
        return _listed(self.container.spec.activation.ports)

    def idle_usec(self) -> int:
        return self.container.spec.activation.idle_usec

    def idle_action(self) -> str:
        return self.container.spec.activation.on_idle

    def auto_remove(self) -> bool:
        return self.container.spec.auto_remove

    def stop_signal(self) -> int:
        return self.container.spec.stop_signal

    def timeout_stop_usec(self) -> int:
        return self.container.spec.timeout_stop_usec

    def memory_max(self) -> int:
        return self.container.spec.limits.memory_max

    def memory_high(self) -> int:
        return self.container.spec.limits.memory_high

    def memory_low(self) -> int:
        return self.container.spec.limits.memory_low

    def memory_swap_max(self) -> int:
        return self.container.spec.limits.memory_swap_max

    def oom_group(self) -> bool:
        return self.container.spec.limits.oom_group

    def cpu_quota_per_sec_usec(self) -> int:
        return self.container.spec.limits.cpu_quota_per_sec_usec

    def cpu_quota_period_usec(self) -> int:
        return self.container.spec.limits.cpu_quota_period_usec

    def cpu_weight(self) -> int:
        return self.container.spec.limits.cpu_weight

    def cpu_set(self) -> str:
        return self.container.spec.limits.cpu_set

    def cpu_set_mems(self) -> str:
        return self.container.spec.limits.cpu_set_mems

    def tasks_max(self) -> int:
        return self.container.spec.limits.tasks_max

    def io_weight(self) -> int:
        return self.container.spec.limits.io_weight

    def io_read_bandwidth_max(self) -> dict[str, int]:
        return dict(self.container.spec.limits.io_read_bandwidth_max)

    def io_write_bandwidth_max(self) -> dict[str, int]:
        return dict(self.container.spec.limits.io_write_bandwidth_max)

    def io_read_iops_max(self) -> dict[str, int]:
        return dict(self.container.spec.limits.io_read_iops_max)

    def io_write_iops_max(self) -> dict[str, int]:
        return dict(self.container.spec.limits.io_write_iops_max)

    def huge_tlb_max(self) -> dict[str, int]:
        return dict(self.container.spec.limits.huge_tlb_max)

    def capabilities(self) -> list[str]:
        return list(self.container.spec.security.capabilities)

    def seccomp(self) -> str:
        text = self.container.spec.security.seccomp
        return text if text in SECCOMP_PROFILES else "custom"

    def no_new_privileges(self) -> bool:
        return self.container.spec.security.no_new_privileges

    def unmask(self) -> list[str]:
        return list(self.container.spec.security.unmask)

    def user_namespace(self) -> str:
        return self.container.spec.security.user_namespace

    def oom_score_adjust(self) -> int:
        return self.container.spec.security.oom_score_adjust

    def rlimits(self) -> dict[str, list[int]]:
        return {name: list(pair) for name, pair in self.container.spec.security.resource_limits.items()}

    def sysctls(self) -> dict[str, str]:
        return dict(self.container.spec.security.sysctls)

    def read_only(self) -> bool:
        return self.container.spec.read_only

    def devices(self) -> list[list[str]]:
        return [[device.path, device.target, device.permissions] for device in self.container.spec.devices]

    def mounts(self) -> list[list[str]]:
        return [[bind.source.path, bind.target, bind.options] for bind in self.container.spec.binds]

    def volumes(self) -> list[list[str]]:
        return [[mount.name or mount.volume, mount.target, mount.options] for mount in self.container.spec.volumes]

    def tmpfs(self) -> dict[str, str]:
        return {tmpfs.target: tmpfs.options for tmpfs in self.container.spec.tmpfs}

    def shm_size(self) -> int:
        return self.container.spec.shm_size

    def init(self) -> bool:
        return self.container.spec.init

    def machine(self) -> bool:
        return self.container.spec.machine

    def terminal(self) -> bool:
        return self.container.spec.terminal

    def restart_policy(self) -> str:
        return str(self.container.spec.restart)

    def restart_count(self) -> int:
        return self.container.restarts

    def next_start_timestamp(self) -> int:
        return self.container.next_start_usec

    def health(self) -> str:
        return self.container.health

    def health_command(self) -> list[str]:
        return list(self.container.spec.health.command)

    def health_interval_usec(self) -> int:
        return self.container.spec.health.interval_usec

    def health_timeout_usec(self) -> int:
        return self.container.spec.health.timeout_usec

    def health_retries(self) -> int:
        return self.container.spec.health.retries

    def health_start_period_usec(self) -> int:
        return self.container.spec.health.start_period_usec

    def health_on_failure(self) -> str:
        return self.container.spec.health.on_failure

    def health_log(self) -> list[list[int | str]]:
        found = self.container.health_results
        return [[result.started_usec, result.ended_usec, result.status, result.output] for result in found]

    def credentials(self) -> list[str]:
        return list(self.container.spec.credentials)

    def sd_notify(self) -> str:
        return self.container.spec.sd_notify

    def ready(self) -> bool:
        return self.container.ready

    def status_text(self) -> str:
        return self.container.status_text

    def hosts(self) -> dict[str, str]:
        return dict(self.container.spec.hosts)

    def ip_address_allow(self) -> list[str]:
        return list(self.container.spec.limits.ip_address_allow)

    def ip_address_deny(self) -> list[str]:
        return list(self.container.spec.limits.ip_address_deny)

    def socket_bind_deny(self) -> list[str]:
        return list(self.container.spec.limits.socket_bind_deny)

    def name_servers(self) -> list[str]:
        return list(self.container.spec.name_servers)

    def search_domains(self) -> list[str]:
        return list(self.container.spec.search_domains)

    def host_network(self) -> bool:
        return self.container.spec.networking.host

    def network_container(self) -> str:
        return self.container.spec.networking.container

    def connection_aliases(self) -> dict[str, list[str]]:
        return {network: list(names) for network, names in self.container.spec.networking.aliases_on}

    def network_aliases(self) -> list[str]:
        return list(self.container.spec.networking.aliases)

    def warnings(self) -> list[str]:
        return list(self.container.warnings)

    def uid_shift(self) -> int:
        return self.container.uid_shift

    def unit(self) -> str:
        return self.container.unit

    def enabled(self) -> bool:
        return self.container.enabled

    def slice(self) -> str:
        return self.container.slice

    def control_group(self) -> str:
        return self.container.control_group

    def main_pid(self) -> int:
        return self.container.main_pid

    def create_timestamp(self) -> int:
        return self.container.created_usec

    def start_timestamp(self) -> int:
        return self.container.started_usec

    def start_timestamp_monotonic(self) -> int:
        return self.container.started_monotonic_usec

    def exit_timestamp(self) -> int:
        return self.container.exited_usec

    def exit_timestamp_monotonic(self) -> int:
        return self.container.exited_monotonic_usec

    def exit_how(self) -> str:
        return self.container.end.how if self.container.end else ""

    def exit_status(self) -> int:
        return self.container.end.status if self.container.end else 0


def _listed(ports: Iterable[Port]) -> list[list[str | int]]:
    return [[port.protocol, port.address, port.host, port.container, port.count] for port in ports]
