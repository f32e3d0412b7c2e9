# SPDX-License-Identifier: GPL-3.0-or-later
"""What packaging/try does: a fresh machine, a container in it, and how systemd, the journal and the bus show it."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING

from machine import enter, host
from machine.image import DISTROS
from machine.nspawn import Nspawn
from machine.qemu import Qemu

if TYPE_CHECKING:
    from collections.abc import Sequence

    from machine.guest import Machine, Result

PREPARE = (
    "mkdir -p /srv/busybox/bin",
    "cp /bin/busybox /srv/busybox/bin/",
    "for name in sh cat date echo env hostname id ls ps sleep tail; do ln -s busybox /srv/busybox/bin/$name; done",
)
SCENE = (
    "mctl run --rm /srv/busybox /bin/sh -c 'echo PID $$ user $(id -u) of $(hostname); tail -n1 /proc/self/cgroup'",
    "mctl run --rm /srv/busybox /bin/sh -c 'exit 42' || echo \"its exit status: $?\"",
    "mctl run -d --name clock {limits} /srv/busybox /bin/sh -c 'while :; do date; sleep 1; done'",
    "sleep 3",
    "mctl ps",
    "mctl logs --tail 2 clock",
    "journalctl --no-pager -n 3 CONTAINER_NAME=clock",
    "journalctl --no-pager -n 1 -o verbose CONTAINER_NAME=clock | grep -E '^ +(MESSAGE|CONTAINER_|_SYSTEMD_UNIT|_PID)'",
    "busctl tree org.mctl1",
    "systemctl --no-pager status mctl-clock.scope",
    "mctl stop -t 1 clock",
    "mctl ps -a",
    "mctl rm clock",
)  # fmt: skip
LIMITS = {"qemu": "--memory 32m --cpus 0.5 --pids 16", "nspawn": ""}  # an outer host may have no controllers to offer


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    host.require_root()
    deb = enter.build()
    if deb is None:
        return 1
    machine: Machine = Qemu(options.distro) if options.vm else Nspawn(options.distro, name=f"try-{options.distro}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with machine:
        machine.boot()
        machine.install(deb)
        host.say(f"{deb.name} is installed; the commands below run inside the machine")
        failed = perform(machine)
        if options.shell:
            host.say("a shell in the machine; it is thrown away when you leave")
            machine.shell()
    for line in failed:
        host.say(f"failed: {line}")
    return 1 if failed else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="packaging/try", description=__doc__)
    parser.add_argument("--distro", choices=DISTROS, default=DISTROS[0])
    parser.add_argument("--vm", action="store_true", help="in qemu, with a kernel and all controllers of its own")
    parser.add_argument("--shell", action="store_true", help="a shell in the machine at the end")
    return parser.parse_args(arguments)


def perform(machine: Machine) -> list[str]:
    """Prints every line before what it does; returns those that failed."""
    lines = [line.replace("{limits} ", f"{LIMITS[machine.kind]} ".lstrip()).strip() for line in (*PREPARE, *SCENE)]
    return [line for line in lines if show(machine, line).returncode]


def show(machine: Machine, line: str) -> Result:
    print(f"\n# {line}", flush=True)
    merged = f"exec 2>&1; {line}"
    result = machine.run(["sh", "-c", merged], timeout=180, check=False)
    sys.stdout.write(result.text)
    sys.stdout.flush()
    return result


if __name__ == "__main__":
    try:
        sys.exit(main())
    except host.HostError as error:
        sys.exit(f"packaging/try: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
