# SPDX-License-Identifier: GPL-3.0-or-later
"""What of /proc and /sys a container does not see, and what it cannot change."""

# All that docker, podman and systemd-nspawn hide, and what else tells of the host or its other guests.
# * is a number. powercap: CVE-2020-8694 (PLATYPUS).
MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kallsyms", "/proc/kcore", "/proc/keys",
    "/proc/key-users", "/proc/kmsg", "/proc/latency_stats", "/proc/pagetypeinfo", "/proc/sched_debug", "/proc/scsi",
    "/proc/slabinfo", "/proc/sysrq-trigger", "/proc/timer_list", "/proc/timer_stats", "/proc/vmallocinfo",
    "/sys/devices/system/cpu/cpu*/thermal_throttle", "/sys/devices/virtual/powercap", "/sys/firmware",
    "/sys/fs/bpf", "/sys/fs/selinux", "/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/tracing",
    "/sys/module",
)  # fmt: skip
# /sys and /sys/fs/cgroup are read-only as a whole.
READ_ONLY = (
    "/proc/apm", "/proc/bus", "/proc/driver", "/proc/fs", "/proc/irq", "/proc/mtrr", "/proc/sys", "/proc/tty",
)  # fmt: skip
