# SPDX-License-Identifier: GPL-3.0-or-later
"""The service speaks of options by their names on the bus; a person has typed flags."""

from __future__ import annotations

import re

# Names that nobody would take for a word of the sentence.
FLAGS = {
    "ActivatedPorts": "--activate", "AddCapabilities": "--cap-add", "AddressRange": "--ip-range",
    "AutoRemove": "--rm", "CPUQuotaPerSecUSec": "--cpus",
    "CPUQuotaPeriodUSec": "--cpu-period", "CPUSet": "--cpuset", "CPUSetMems": "--cpuset-mems",
    "CPUWeight": "--cpu-weight", "DropCapabilities": "--cap-drop", "Gateway6": "--gateway",
    "HealthCommand": "--health-cmd",
    "HealthIntervalUSec": "--health-interval", "HealthOnFailure": "--health-on-failure",
    "HealthRetries": "--health-retries", "HealthStartPeriodUSec": "--health-start-period",
    "HealthTimeoutUSec": "--health-timeout", "HostNetwork": "--network host",
    "NetworkContainer": "--network container",
    "HugeTLBMax": "--hugetlb",
    "IdleAction": "--on-idle", "IdleUSec": "--idle",
    "IOReadBandwidthMax": "--io-read-bps", "IOReadIOPSMax": "--io-read-iops", "IOWeight": "--io-weight",
    "IOWriteBandwidthMax": "--io-write-bps", "IOWriteIOPSMax": "--io-write-iops", "IPAddressAllow": "--allow",
    "IPAddressDeny": "--deny", "MemoryHigh": "--memory-high", "MemoryLow": "--memory-low", "MemoryMax": "--memory",
    "MemorySwapMax": "--swap", "NameServers": "--dns", "NetworkAliases": "--network-alias",
    "NoNewPrivileges": "--security-opt no-new-privileges", "OOMGroup": "--oom-group",
    "OOMScoreAdjust": "--oom-score-adj", "filter Properties": "--format",
    "filter States": "--filter state", "ReadOnly": "--read-only", "RestartPolicy": "--restart",
    "SdNotify": "--sdnotify", "SearchDomains": "--dns-search", "ShmSize": "--shm-size",
    "SocketBindDeny": "--no-bind", "StopSignal": "--stop-signal", "Subnet6": "--subnet",
    "TakenDevices": "--device-rm", "TasksMax": "--pids", "TimeoutStopUSec": "--stop-timeout",
    "TimeoutUSec": "--timeout", "UserNamespace": "--userns", "WorkingDirectory": "--workdir",
}  # fmt: skip
# These could be words; but a sentence of the service's begins with a small letter, and so does all that follows.
WORDS = {
    "Address": "--ip", "Address6": "--ip6", "Aliases": "--alias",
    "Credentials": "--credential", "Devices": "--device", "Driver": "--driver", "Entrypoint": "--entrypoint",
    "Environment": "--env", "Gateway": "--gateway", "Hostname": "--hostname", "Hosts": "--add-host", "Init": "--init",
    "Internal": "--internal", "Labels": "--label", "Lines": "--tail", "MTU": "--mtu", "Machine": "--machine",
    "Mode": "--mode", "Mounts": "--volume", "Networks": "--network", "Parent": "--parent",
    "Ports": "--publish", "Priority": "--priority", "Rlimits": "--ulimit", "Seccomp": "--security-opt seccomp",
    "Shared": "--shared", "Since": "--since", "Subnet": "--subnet", "Sysctls": "--sysctl", "Terminal": "--tty",
    "Tmpfs": "--tmpfs",
    "Unmask": "--security-opt unmask", "Until": "--until", "User": "--user", "Volumes": "--volume",
}  # fmt: skip
_QUOTED = r"'[^']*'|\"[^\"]*\"|`[^`]*`"


def with_flags(text: str, *, words: bool) -> str:
    """The sentence with flags in place of options; what is quoted is the caller's. `words`: WORDS are options too."""
    known = FLAGS | WORDS if words else FLAGS
    found = re.compile(rf"{_QUOTED}|(?<![\w./-])(?:option )?({'|'.join(known)})(?![\w.])(?=[^=]|$)")
    return found.sub(lambda match: known[match[1]] if match[1] else match[0], text)
