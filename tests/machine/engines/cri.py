# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of Kubernetes' container runtime interface as a test needs, as the kubelet speaks it with containerd.

The messages are those of k8s.io/cri-api, pkg/apis/runtime/v1/api.proto: names, and their numbers on the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Fields = Mapping[str, Any]  # name: number, or number and the fields of the message that it is

NODE = 2  # the mode of a namespace that is the host's
RUNNING, EXITED = 1, 2
SECONDS = 120
POD: Fields = {
    "metadata": (1, {"name": 1, "uid": 2, "namespace": 3}), "log_directory": 3,
    "linux": (8, {"security_context": (2, {"namespace_options": (1, {"network": 1, "pid": 2, "ipc": 3})})}),
}  # fmt: skip
CONTAINER: Fields = {
    "metadata": (1, {"name": 1}), "image": (2, {"image": 1}), "command": 3, "envs": (6, {"key": 1, "value": 2}),
    "log_path": 11,
}  # fmt: skip


class Client:
    """Replies as lists of raw values by number."""

    def __init__(self, socket: Path) -> None:
        # Without a name for the other side the path would be it, which Go's servers refuse.
        self._channel = grpc.insecure_channel(f"unix:{socket}", options=[("grpc.default_authority", "localhost")])

    def close(self) -> None:
        self._channel.close()

    def call(self, name: str, fields: Fields | None = None, **request: Any) -> dict[int, list[Any]]:
        method = self._channel.unary_unary(f"/runtime.v1.RuntimeService/{name}")
        return decoded(method(encoded(fields or {}, request), timeout=SECONDS))

    def run_pod(self, pod: dict[str, Any]) -> str:
        return str(self.call("RunPodSandbox", {"config": (1, POD)}, config=pod)[1][0].decode())

    def create(self, pod_id: str, pod: dict[str, Any], config: dict[str, Any]) -> str:
        fields = {"pod_id": 1, "config": (2, CONTAINER), "pod": (3, POD)}
        return str(self.call("CreateContainer", fields, pod_id=pod_id, config=config, pod=pod)[1][0].decode())

    def of(self, name: str, identifier: str) -> dict[int, list[Any]]:
        """What takes nothing but the id of a container or a pod."""
        return self.call(name, {"id": 1}, id=identifier)

    def status(self, container: str) -> tuple[int, int]:
        """State and exit code."""
        told = decoded(self.of("ContainerStatus", container)[1][0])
        return told.get(3, [0])[0], told.get(7, [0])[0]

    def execute(self, container: str, *command: str) -> tuple[bytes, int]:
        """Output and exit code."""
        told = self.call("ExecSync", {"id": 1, "command": 2}, id=container, command=list(command))
        return told.get(1, [b""])[0], told.get(3, [0])[0]


def encoded(fields: Fields, message: Mapping[str, Any]) -> bytes:
    made = b""
    for name, given in message.items():
        number, below = fields[name] if isinstance(fields[name], tuple) else (fields[name], {})
        for value in given if isinstance(given, list) else [given]:
            if isinstance(value, int):
                made += _variable(number << 3) + _variable(value)
            else:
                text = encoded(below, value) if isinstance(value, dict) else str(value).encode()
                made += _variable(number << 3 | 2) + _variable(len(text)) + text
    return made


def _variable(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    if number < 128:
        return bytes([number])
    return bytes([number & 127 | 128]) + _variable(number >> 7)


def decoded(message: bytes) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    while message:
        tag, message = _number(message)
        value: Any
        value, message = _number(message)
        if tag & 7 == 2:
            value, message = message[:value], message[value:]
        found.setdefault(tag >> 3, []).append(value)
    return found


def _number(message: bytes) -> tuple[int, bytes]:
    length = next(index for index, byte in enumerate(message) if byte < 128) + 1
    number = sum((byte & 127) << 7 * index for index, byte in enumerate(message[:length]))
    return number, message[length:]
