# SPDX-License-Identifier: GPL-3.0-or-later
"""What docker and podman have and mctl has not: refused as such, and with what to do instead. Read only then."""

from __future__ import annotations

OWN = "each container has its own"
ONE = "name the container"
MAKING = {
    "--annotation": "`--label` has notes",
    "--attach": "without -d standard output and error are here; -i passes on standard input",
    "--cgroup-parent": "a container is in its owner's slice, see `systemctl status mctl-uUID.slice`",
    "--cgroupns": OWN,
    "--dns-opt": "--dns and --dns-search say whom to ask",
    "--dns-option": "--dns and --dns-search say whom to ask",
    "--domainname": "--hostname takes a whole name, as web.example.org",
    "--env-host": "pass on what is wanted by name, as in -e LANG",
    "--gpus": "--device /dev/dri gives all devices there, --device /dev/nvidia0 one",
    "--group-add": "-u USER:GROUP names one group; more are what the container's own /etc/group gives to USER",
    "--health-start-interval": "--health-interval holds from the start on",
    "--health-startup-cmd": "--health-start-period is the time that failures do not count",
    "--ipc": OWN,
    "--isolation": "it is Windows' own",
    "--link": "containers on one network find each other by name; --network-alias gives one more",
    "--log-driver": "all output is in the journal: `mctl logs`, `journalctl CONTAINER_NAME=NAME`",
    "--log-opt": "all output is in the journal, whose size journald.conf(5) bounds",
    "--mac-address": "the kernel chooses one",
    "--memory-swappiness": "--swap bounds it; cgroups of version 2 have no such setting",
    "--oom-kill-disable": "cgroups of version 2 have no such setting; --memory-high slows down before that",
    "--pid": f"{OWN}; `mctl top` shows its processes",
    "--pidfile": "`mctl inspect -f '{{.MainPID}}' NAME` says it",
    "--pod": "there are no pods; --network container:NAME shares a network",
    "--replace": "`mctl rm -f NAME` first",
    "--requires": "units have dependencies: mctl@.service(5)",
    "--rootfs": "a directory needs no option, only a / in its path, as ./root",
    "--runtime": "there is one; mctl-oci(8) is that one for podman and docker",
    "--secret": "--credential NAME:FILE gives what a file holds",
    "--sig-proxy": "signals are passed on; with -d nobody is there to get any",
    "--storage-opt": "mctld.conf(5) bounds what each user has on the disk",
    "--systemd": "--machine is for what boots an operating system",
    "--timeout": "`timeout SECONDS mctl run ...` sends its signal on",
    "--tz": "-e TZ=Europe/Berlin does it",
    "--uts": OWN,
    "--volumes-from": "give both the same volumes, as -v NAME:PATH",
    "-a": "without -d standard output and error are here; -i passes on standard input",
}
SIGNAL = "--stop-signal of `mctl run` says which; `mctl kill -s SIGNAL NAME` sends any"
ALL = "`mctl {0} $(mctl ps -q)` does it, for those that do not run too with `ps -aq`"
ADVICE = {
    "run": MAKING,
    "create": MAKING,
    "attach": {"--sig-proxy": "what is typed goes in; `mctl kill` sends signals"},
    "exec": {
        "--detach-keys": "a session that is left ends; `mctl run -it` has a terminal to come back to",
        "--preserve-fds": "what a command may read comes by -i",
        "--privileged": "a command has its container's rights: `mctl run --privileged` gives it more",
    },
    "events": {"--stream": "--until 0s ends with those that were"},
    "inspect": {"--size": "`mctl ps -as` shows sizes", "-s": "`mctl ps -as` shows sizes"},
    "ps": {
        "--external": "there is nobody else's container here",
        "--noheading": "a template has no head: --format '{{.ID}} {{.Names}}'",
        "--ns": "`lsns --task PID` shows namespaces",
        "--pod": "there are no pods",
        "--sort": "they are in the order of their making; --format with sort(1) has others",
        "--sync": "it is always so",
        "--watch": "`mctl events` tells what changes, `mctl stats` shows what runs",
        "-p": "there are no pods",
        "-w": "`mctl events` tells what changes, `mctl stats` shows what runs",
    },
    "logs": {
        "--color": "nothing is coloured",
        "--details": "`mctl logs -o json` shows all fields",
        "--names": "one container's are shown at a time",
    },
    "network": {
        "--attachable": "containers come and go on every network: `mctl network connect`",
        "--disable-dns": "names are answered on each bridge; --dns of `mctl run` says who is asked for others",
        "--filter": "`mctl network ls --json` has all of it, for jq(1)",
        "--format": "`mctl inspect --type network --format TEMPLATE NAME` has templates",
        "--ipv6": "each bridge has IPv6 addresses too; a macvlan gets them by an IPv6 --subnet",
        "--label": "networks have no labels",
    },
    "pause": {"--all": ALL.format("pause"), "-a": ALL.format("pause")},
    "restart": {"--all": ALL.format("restart"), "-a": ALL.format("restart"), "--signal": SIGNAL, "-s": SIGNAL},
    "start": {"--all": ALL.format("start")},
    "kill": {"--cidfile": "name the container: $(cat FILE)"},
    "rm": {
        "--all": "`mctl prune` removes those that have ended, `mctl rm -f $(mctl ps -aq)` all",
        "--link": "containers on one network find each other by name",
        "-a": "`mctl prune` removes those that have ended, `mctl rm -f $(mctl ps -aq)` all",
        "-l": "there are no links; --volumes is -v",
        "--ignore": "with -f what is not there is no failure",
        "--time": "`mctl stop -t SEC NAME` first",
        "-i": "with -f what is not there is no failure",
        "-t": "`mctl stop -t SEC NAME` first",
    },
    "stop": {"--all": ALL.format("stop"), "-a": ALL.format("stop"), "--signal": SIGNAL, "-s": SIGNAL},
    "wait": {"--condition": "it waits for the end, or by --ready for what --sdnotify says; `mctl events` tells all"},
}  # fmt: skip
LATEST = {"--latest": ONE, "-l": ONE}  # podman's
OF_ONE = (
    "attach", "diff", "exec", "inspect", "kill", "logs", "pause", "port", "restart", "rm", "start", "stats", "stop",
    "top", "unpause", "wait",
)  # fmt: skip


def advice(verb: str, flag: str) -> str:
    """What to do instead; nothing for what nobody has."""
    if verb == "kill" and flag[1:].isdigit():  # as of kill(1)
        return f"-s {flag[1:]} sends signal {flag[1:]}"
    latest = LATEST.get(flag, "") if verb in OF_ONE else ""
    return ADVICE.get(verb, {}).get(flag, latest)
