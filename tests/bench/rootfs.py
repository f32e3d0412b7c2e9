# SPDX-License-Identifier: GPL-3.0-or-later
"""The one root file system that all engines run: Debian's static busybox."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from bench import command

# /srv lies on a real file system in every machine: engines can put their overlays on it.
GROUND = Path("/srv/bench")
DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var")


@dataclass(frozen=True)
class Rootfs:
    directory: Path
    tar: Path


# For the measure of networks, and then only; what they need of libraries comes along.
PROGRAMS = ("/usr/bin/iperf3", "/usr/sbin/nginx")
NGINX = """
user root; daemon off; master_process off; pid /tmp/nginx.pid;
events { worker_connections 512; }
http {
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
    server { listen 80; location / { return 200 "hello\\n"; } }
}
"""


def make(*, network: bool = False) -> Rootfs:
    rootfs = Rootfs(GROUND / "busybox", GROUND / "busybox.tar")
    for name in DIRECTORIES:
        (rootfs.directory / name).mkdir(parents=True, exist_ok=True)
    busybox = rootfs.directory / "bin/busybox"
    shutil.copy2(shutil.which("busybox") or "/bin/busybox", busybox)
    for applet in command.output([str(busybox), "--list"]).split():
        link = rootfs.directory / "bin" / applet
        if not link.exists():
            link.symlink_to("busybox")
    if network:
        _add_programs(rootfs.directory)
    command.output(["tar", "-C", str(rootfs.directory), "-cf", str(rootfs.tar), "."])
    return rootfs


def _add_programs(directory: Path) -> None:
    for program in PROGRAMS:
        for path in (program, *_libraries(program)):
            copy = directory / path.removeprefix("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
    (directory / "etc/bench-nginx.conf").write_text(NGINX)
    (directory / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n")
    (directory / "etc/group").write_text("root:x:0:\nwww-data:x:33:\n")


def _libraries(program: str) -> list[str]:
    """With the one that pthread_cancel(3) loads when it is called."""
    found: list[str] = re.findall(r"(/\S+) \(0x", command.output(["ldd", program]))
    libc = next(path for path in found if Path(path).name == "libc.so.6")
    return [*found, str(Path(libc).with_name("libgcc_s.so.1"))]


def bind(path: str) -> None:
    """Puts a state directory of an engine on the real file system: overlayfs refuses an upper layer on overlayfs."""
    real = GROUND / Path(path).name
    real.mkdir(parents=True, exist_ok=True)
    Path(path).mkdir(parents=True, exist_ok=True)
    command.output(["mount", "--bind", str(real), path])
