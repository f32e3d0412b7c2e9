# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a qemu machine: takes commands from virtio-serial ports, answers with exact status and bytes.

One JSON line a request, one a reply, bytes in base64. A line that is cut by a lost connection is dropped.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

PORTS = Path("/sys/class/virtio-ports")
IDLE_SECONDS = 0.1  # between looks at a port that the host has not opened: the driver has no other news of it
ENTER = 'echo $$ >/sys/fs/cgroup/init.scope/cgroup.procs && exec "$@"'


def main() -> None:
    ports = [entry.name for entry in PORTS.iterdir() if (entry / "name").read_text().startswith("harness.")]
    threads = [threading.Thread(target=serve, args=(f"/dev/{port}",)) for port in ports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def serve(device: str) -> None:
    port = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    pending = b""
    while True:
        data = os.read(port, 1 << 16)
        if not data:
            pending = b""
            time.sleep(IDLE_SECONDS)
            continue
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            reply = answer(line)
            if reply:
                write(port, reply)


def answer(line: bytes) -> bytes:
    try:
        request = json.loads(line)
    except ValueError:
        return b""
    return json.dumps({"id": request["id"], **execute(request)}).encode() + b"\n"


def execute(request: dict[str, Any]) -> dict[str, Any]:
    process = subprocess.Popen(["sh", "-c", ENTER, "sh", *request["argv"]], env=request["environment"], cwd="/",
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    try:
        stdout, stderr = process.communicate(base64.b64decode(request["stdin"]), timeout=request["timeout"])
        status: int | None = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        status = None
    return {"returncode": status, "stdout": base64.b64encode(stdout).decode(),
            "stderr": base64.b64encode(stderr).decode()}  # fmt: skip


def write(port: int, data: bytes) -> None:
    while data:
        data = data[os.write(port, data[: 1 << 15]) :]


if __name__ == "__main__":
    main()
