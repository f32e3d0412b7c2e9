# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to the command: from an interpreter that nobody can write to, where that matters, and with code in one file.

What makes a container's process runs from a read-only one: through /proc/self/exe, the root of a container without a
user namespace of its own could otherwise write to the host's (CVE-2019-5736).
"""

import marshal
import posix  # os takes 1 ms to import, and the first of two interpreters does not need it
import sys
from _frozen_importlib import ModuleSpec  # what importlib.machinery calls so, which takes 2 ms to import
from _frozen_importlib_external import ExtensionFileLoader

NAME = "mctl-oci"
ENTERING = {"create", "run", "exec"}
LIGHT = {"start", "state", "kill", "delete"}  # these make no system call by ctypes, unless there are hooks
EXECUTABLE = "/proc/self/exe"
RDONLY = 1  # ST_RDONLY of statvfs(3)
READ_ONLY = 1  # MOUNT_ATTR_RDONLY of mount_setattr(2)
GATHERED = f"{__file__.rpartition('/')[0]}/__pycache__/gathered.{sys.implementation.cache_tag}"  # by gathering.py
DEBIANS = "/usr/lib/python3/dist-packages"

PACKAGE, MODULE, EXTENSION = "package", "module", "extension"  # the last one is in a library: only its place is known
HEAD = 16  # bytes: how long the index after them is, how long the code after that; of 8 each
# Kind, source, when it was changed, its size; where its code begins, and how much that is
Index = dict[str, tuple[str, str, int, int, int, int]]


class Gathered:
    """Finds modules in one file: to look for eighty, and to open them, takes longer than to execute them.

    Sources that are not what they were when it was made are left to others, and so is what is not in it.
    """

    def __init__(self, found: Index, code: memoryview) -> None:
        self._found, self._code = found, code

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        if name not in self._found:
            return None
        kind, source, changed, size, _, _ = self._found[name]
        try:
            now = posix.stat(source)
        except OSError:
            return None
        if (now.st_mtime_ns, now.st_size) != (changed, size):
            return None
        if kind == EXTENSION:
            return ModuleSpec(name, ExtensionFileLoader(name, source), origin=source)
        spec = ModuleSpec(name, self, origin=source)  # type: ignore[arg-type]
        if kind == PACKAGE:
            spec.submodule_search_locations = [source.rpartition("/")[0]]
        return spec

    def create_module(self, _: ModuleSpec) -> None:
        """As usual."""

    def exec_module(self, module: object) -> None:
        space = vars(module)
        _, source, _, _, start, length = self._found[space["__name__"]]
        space["__file__"] = source
        exec(marshal.loads(self._code[start : start + length]), space)


def use(file: str) -> None:
    """What is gathered there, if it is."""
    try:
        opened = posix.open(file, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return
    try:
        whole = memoryview(posix.read(opened, posix.fstat(opened).st_size))
        end = HEAD + int.from_bytes(whole[: HEAD // 2], "little")
        found = marshal.loads(whole[HEAD:end])
        if len(whole) != end + int.from_bytes(whole[HEAD // 2 : HEAD], "little"):
            return
    except (OSError, EOFError, ValueError, TypeError):
        return
    finally:
        posix.close(opened)
    if isinstance(found, dict):
        sys.meta_path.insert(0, Gathered(found, whole[end:]))


def is_exposed() -> bool:
    """Whether the caller, and so a container, may write to what we run from. What is read-only may not stay so."""
    place = posix.readlink(EXECUTABLE)
    read_only = bool(posix.statvfs(EXECUTABLE).f_flag & RDONLY)
    if place.startswith(f"/memfd:{NAME}") or (place == "/" and read_only):  # a mount that is nowhere has no path
        return False
    return read_only or posix.access(EXECUTABLE, posix.W_OK)


def seal(program: str) -> None:
    """Executes this again: the same file by a mount that is read-only and nowhere, or else a copy in memory."""
    try:
        opened = open_read_only()
    except OSError:
        opened = copy()
    posix.execve(opened, [sys.executable, "-IS", program, *sys.argv[1:]], posix.environ)


def open_read_only() -> int:
    """What we run from, by a mount of its own: open_tree(2), mount_setattr(2). It is gone when we have executed it."""
    import _ctypes  # importing ctypes, and what that imports, takes 4 ms

    class Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "l"

    class Call(_ctypes.CFuncPtr):
        _flags_, _restype_ = _ctypes.FUNCFLAG_CDECL, Long

    own = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # dlopen(3): what this program itself consists of
    call = Call(_ctypes.dlsym(own, "syscall"))
    made: int = call(428, -100, EXECUTABLE.encode(), 1 | posix.O_CLOEXEC)  # AT_FDCWD, OPEN_TREE_CLONE
    attributes = READ_ONLY.to_bytes(8, sys.byteorder) + bytes(24)  # struct mount_attr
    if made < 0 or call(442, made, b"", 0x1000, attributes, len(attributes)) < 0:  # AT_EMPTY_PATH
        raise OSError
    return made


def copy() -> int:
    """In memory, sealed against all writing, memfd_create(2)."""
    import fcntl

    flags = posix.MFD_CLOEXEC | posix.MFD_ALLOW_SEALING
    try:
        made = posix.memfd_create(NAME, flags | 0x10)  # MFD_EXEC, Linux 6.3
    except OSError:
        made = posix.memfd_create(NAME, flags)
    with open(EXECUTABLE, "rb") as interpreter:
        size = posix.fstat(interpreter.fileno()).st_size
        while size > 0:
            size -= posix.sendfile(made, interpreter.fileno(), None, size)
    fcntl.fcntl(made, 1033, 0xF)  # F_ADD_SEALS: seal, shrink, grow, write
    return made


def run(program: str) -> None:
    """Never returns. program: the file that has called this."""
    if ENTERING & set(sys.argv[1:]) and is_exposed():
        seal(program)
    sys.path.append(sys.path.pop(0))  # nothing beside us is meant by the names of Python's own
    if DEBIANS not in sys.path:
        sys.path.append(DEBIANS)
    sys.modules["_hashlib"] = None  # type: ignore[assignment]  # hashlib has a SHA-256; to load OpenSSL's takes 2 ms
    use(GATHERED)
    from . import lean

    lean.load(calls=not LIGHT & set(sys.argv[1:]))

    from .__main__ import main

    status = main(sys.argv[1:])
    sys.stdout.flush()
    posix._exit(status)  # nothing is left to tidy up
