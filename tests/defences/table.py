# SPDX-License-Identifier: GPL-3.0-or-later
"""Each defence: what it keeps, the words of it, what stands there without it, and the tests that must then fail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Defence:
    """`text` is in `file` once. `tests` are arguments of pytest."""

    keeps: str
    file: str
    text: str
    without: str
    tests: str

    def taken_from(self, whole: str) -> str:
        """The file without it. ValueError where it is not there, or more than once."""
        if whole.count(self.text) != 1:
            raise ValueError(f"{self.file}: {self.text!r} is there {whole.count(self.text)} times: {self.keeps}")
        return whole.replace(self.text, self.without)


DEFENCES = (
    Defence(
        "no link of an image leads a mount onto /proc, /sys or /dev",
        "service/mctld/runtime/filesystems.py",
        "        if found.st_dev == kept.st_dev and (whole or",
        "        if False and (whole or",
        "tests/kernel/test_places.py -k walls",
    ),
    Defence(
        "targets of mounts are opened inside the root directory",
        "service/mctld/runtime/filesystems.py",
        "files.open_in_root(root, path, kind)",
        "os.open(path, kind)",
        "tests/kernel/test_places.py -k 'stay_inside or never'",
    ),
    Defence(
        "a link in the image is not written through to make /etc/hosts",
        "service/mctld/runtime/filesystems.py",
        "if replace and _is_link(parent, name):",
        "if False:",
        "tests/kernel/test_places.py -k never_written",
    ),
    Defence(
        "a root directory's path may have no link that came later",
        "service/mctld/runtime/rootfs.py",
        "c.RESOLVE_NO_SYMLINKS)",
        "0)",
        "tests/kernel/test_rootfs.py -k came_later",
    ),
    Defence(
        "the mount table inside tells no path of the overlay",
        "service/mctld/runtime/rootfs.py",
        "os.chdir(directory)\n            if",
        "directory and os.chdir('/')\n            if",
        "tests/kernel/test_rootfs.py -k tells",
    ),
    Defence(
        "mount options that the kernel would cut off are refused",
        "service/mctld/kernel/mount.py",
        "> OPTIONS_MAX",
        "> 1 << 20",
        "tests/kernel/test_rootfs.py -k too_many",
    ),
    Defence(
        "--read-only makes the root read-only",
        "service/mctld/runtime/filesystems.py",
        'mount.set_attributes(descriptors["root"], c.MOUNT_ATTR_RDONLY)',
        "pass",
        "tests/kernel/test_walls.py -k read_only_root",
    ),
    Defence(
        "--read-only makes files of ours read-only",
        "service/mctld/runtime/etc.py",
        "c.MOUNT_ATTR_RDONLY if read_only else 0",
        "0",
        "tests/kernel/test_walls.py -k read_only_root",
    ),
    Defence(
        "a parameter's name cannot lead elsewhere in /proc/sys",
        "service/mctld/runtime/filesystems.py",
        "name.translate(_CHANGED_PLACES) if dotted else name",
        "name.replace('.', '/')",
        "tests/kernel/test_walls.py -k parameter",
    ),
    Defence(
        "mounts are private: nothing goes in or out",
        "service/mctld/kernel/mount.py",
        "attributes, propagation=c.MS_PRIVATE,",
        "attributes, propagation=0,",
        "tests/kernel/test_places.py -k in_or_out",
    ),
    Defence(
        "volumes are nosuid and nodev",
        "service/mctld/runtime/rootfs.py",
        "c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | (c.MOUNT_ATTR_RDONLY",
        "(c.MOUNT_ATTR_RDONLY",
        "tests/kernel/test_places.py -k set_user_id",
    ),
    Defence(
        "a volume can be read-only",
        "service/mctld/runtime/rootfs.py",
        "(c.MOUNT_ATTR_RDONLY if read_only else 0)",
        "0",
        "tests/kernel/test_places.py -k shown",
    ),
    Defence(
        "what lies deeper is mounted later",
        "service/mctld/runtime/planner.py",
        'sorted(steps, key=lambda found: (found[0].strip("/").count("/"), found[0]))',
        "steps",
        "tests/kernel/test_places.py -k deeper",
    ),
    Defence(
        "a tmpfs has a bound of inodes",
        "service/mctld/runtime/planner.py",
        '"nr_inodes": str(tmpfs.inodes), ',
        "",
        "tests/kernel/test_places.py -k memory",
    ),
    Defence(
        "a tmpfs is noexec",
        "service/mctld/runtime/planner.py",
        "0 if tmpfs.executable else c.MOUNT_ATTR_NOEXEC",
        "0",
        "tests/kernel/test_places.py -k memory",
    ),
    Defence(
        "files of a group belong to the caller only where the caller is in it",
        "service/mctld/bus/openings.py",
        "found.st_uid == caller.uid and found.st_gid in caller.groups",
        "found.st_uid == caller.uid",
        "tests/bus/test_values.py tests/bus/test_creation.py -k group",
    ),
    Defence(
        "other users' directories are not shown with their subtree of mounts",
        "service/mctld/mounts.py",
        "recursive = source.owner is None and",
        "recursive =",
        "tests/unit/test_mounts.py",
    ),
    Defence(
        "paths of /proc and /sys are masked",
        "service/mctld/runtime/masks.py",
        "def hide(descriptors: Descriptors, paths: list[str]) -> None:",
        "def hide(descriptors: Descriptors, paths: list[str]) -> None:\n    return\n",
        "tests/kernel/test_walls.py -k hidden",
    ),
    Defence(
        "paths of /proc are read-only",
        "service/mctld/runtime/masks.py",
        "def make_read_only(descriptors: Descriptors, paths: list[str]) -> None:",
        "def make_read_only(descriptors: Descriptors, paths: list[str]) -> None:\n    return\n",
        "tests/kernel/test_walls.py -k 'kept_from or parameters'",
    ),
    Defence(
        "only namespaced parameters can be set",
        "service/mctld/security.py",
        "if dotted not in _NAMESPACED and",
        "if False and",
        "tests/unit/test_security.py",
    ),
    Defence(
        "capabilities that are not kept leave the bounding set",
        "service/mctld/runtime/capabilities.py",
        "if not kept >> number & 1:",
        "if False:",
        "tests/kernel/test_walls.py -k five",
    ),
    Defence(
        "a user's groups are the image's, and the service's are dropped",
        "service/mctld/runtime/identity.py",
        "os.setgroups(groups)",
        "os.setgroups([])",
        "tests/kernel/test_walls.py -k users_of",
    ),
    Defence(
        "ranges of user ids never overlap",
        "service/mctld/ids.py",
        "if self._overlaps(start) or any(abs(start - used) < self._size for used in self._used):",
        "if start in self._used:",
        "tests/unit/test_ids.py",
    ),
    Defence(
        "ranges of /etc/subuid are left to their users",
        "service/mctld/ids.py",
        " and not self._is_foreign(start, foreign)",
        "",
        "tests/unit/test_ids.py",
    ),
    Defence(
        "accounts are read from plain files only",
        "service/mctld/runtime/accounts.py",
        "if not stat.S_ISREG(os.fstat(descriptor).st_mode):",
        "if False:",
        "tests/unit/test_accounts.py tests/kernel/test_walls.py -k 'harm or device'",
    ),
    Defence(
        "an image's passwd(5) is read up to a bound",
        "service/mctld/runtime/accounts.py",
        "if len(content) > FILE_MAX:",
        "if False:",
        "tests/unit/test_accounts.py -k harm",
    ),
    Defence(
        "a user's number has a bound",
        "service/mctld/runtime/accounts.py",
        " and len(text) <= 10",
        "",
        "tests/unit/test_accounts.py",
    ),
    Defence(
        "descriptors of the spawner are closed when a program is executed",
        "service/mctld/runtime/programs.py",
        "    process.close_on_exec(3)\n",
        "",
        "tests/kernel/test_spawner.py -k inherited",
    ),
    Defence(
        "umask is the usual one",
        "service/mctld/runtime/programs.py",
        "    os.umask(0o022)\n",
        "",
        "tests/kernel/test_spawner.py -k inherited",
    ),
    Defence(
        "the working directory is inside the root (CVE-2024-21626)",
        "service/mctld/runtime/programs.py",
        "c.RESOLVE_IN_ROOT | c.RESOLVE_NO_MAGICLINKS",
        "0",
        "tests/kernel/test_spawner.py tests/kernel/test_walls.py tests/kernel/test_joining.py",
    ),
    Defence(
        "a new process of exec cannot be traced from inside (CVE-2016-9962)",
        "service/mctld/runtime/spawner.py",
        "    process.set_dumpable(dumpable=False)\n",
        "",
        "tests/kernel/test_joining.py -k trace",
    ),
    Defence(
        "who is born after an exec's process is not born in its container",
        "service/mctld/runtime/spawner.py",
        "            _come_back(own, ELSEWHERE[kind])",
        "            pass",
        "tests/kernel/test_joining.py -k stays",
    ),
    Defence(
        "nothing is imported from a container's files",
        "service/mctld/runtime/spawner.py",
        "            sys.meta_path.clear()",
        "            pass",
        "tests/kernel/test_joining.py -k imported",
    ),
    Defence(
        "the reaper's copy is sealed",
        "service/mctld/runtime/reaper.py",
        "fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)",
        "pass",
        "tests/kernel/test_walls.py -k sealed",
    ),
    Defence(
        "namespaces cannot be made",
        "service/mctld/runtime/seccomp/default.py",
        'Condition(flags, "MASKED_EQ", NEW_NAMESPACES, 0)',
        'Condition(flags, "MASKED_EQ", 0, 0)',
        "tests/unit/test_seccomp.py -k namespaces",
    ),
    Defence(
        "nobody types into a terminal (CVE-2017-5226)",
        "service/mctld/runtime/seccomp/default.py",
        "            *terminal_injection(),\n",
        "",
        "tests/unit/test_seccomp.py -k types",
    ),
    Defence(
        "AF_ALG and AF_VSOCK are refused",
        "service/mctld/runtime/seccomp/default.py",
        "            *_sockets(capabilities),\n",
        "",
        "tests/unit/test_seccomp.py -k socket_families",
    ),
    Defence(
        "io_uring is refused",
        "service/mctld/runtime/seccomp/default.py",
        "add_key io_uring_enter io_uring_register io_uring_setup kexec",
        "add_key kexec",
        "tests/unit/test_seccomp.py -k never",
    ),
    Defence(
        "personalities are few",
        "service/mctld/runtime/seccomp/default.py",
        '            *(Rule(("personality",), ALLOW, (is_int(0, value),)) for value in PERSONALITIES),\n',
        '            Rule(("personality",), ALLOW),\n',
        "tests/unit/test_seccomp.py -k personalities",
    ),
    Defence(
        "what no table knows is ENOSYS",
        "service/mctld/runtime/seccomp/default.py",
        "        default=ENOSYS,\n",
        "        default=ALLOW,\n",
        "tests/unit/test_seccomp.py -k enosys",
    ),
    Defence(
        "what is loosened takes org.mctl1.create-privileged",
        "service/mctld/bus/manager.py",
        "(CREATE_PRIVILEGED if granted else CREATE,)",
        "(CREATE,)",
        "tests/bus/test_creation.py -k takes_more",
    ),
    Defence(
        "protection from the OOM killer is asked for",
        "service/mctld/dangers.py",
        "    if security.oom_score_adjust < 0:",
        "    if False:",
        "tests/unit/test_dangers.py",
    ),
    Defence(
        "files of other users are asked for",
        "service/mctld/dangers.py",
        "        if bind.source.owner is None:",
        "        if False:",
        "tests/unit/test_dangers.py",
    ),
    Defence(
        "unmasked paths are asked for",
        "service/mctld/dangers.py",
        "    if security.unmask:",
        "    if False:",
        "tests/unit/test_dangers.py",
    ),
    Defence(
        "resource limits above the usual are asked for",
        "service/mctld/security.py",
        "if limit[2] > RLIMITS[limit[0]][1])",
        "if False)",
        "tests/unit/test_dangers.py tests/unit/test_security.py",
    ),
    Defence(
        "files that come with a call are looked at in a thread",
        "service/mctld/bus/manager.py",
        "if not call.fds:",
        "if True:",
        "tests/bus/test_creation.py -k hangs",
    ),
    Defence(
        "lists of mounts are bounded before each is looked at",
        "service/mctld/bus/manager.py",
        'mounts.check_number(len(values.get("Mounts", ())))',
        "pass",
        "tests/bus/test_creation.py -k long_list",
    ),
    Defence(
        "lists of devices are bounded before each is looked at",
        "service/mctld/bus/manager.py",
        'device.check_number(len(values.get("Devices", ())))',
        "pass",
        "tests/bus/test_creation.py -k long_list",
    ),
    Defence(
        "a string with NUL does not cost the connection",
        "service/mctld/bus/codec.py",
        '        if "\\0" in value:',
        "        if False:",
        "tests/bus",
    ),
    Defence(
        "a message that is too long does not cost the connection",
        "service/mctld/bus/codec.py",
        "    if len(data) > MESSAGE_MAX:",
        "    if False:",
        "tests/bus",
    ),
    Defence(
        "a list is of now, although it is made of kept bytes",
        "service/mctld/bus/remembered.py",
        "if kept is None or kept[0] != sources:",
        "if kept is None:",
        "tests/bus/test_calls.py -k now",
    ),
    Defence(
        "a busy spawner is not taken for one that is gone",
        "service/mctld/runtime/launch.py",
        "            except BlockingIOError:\n"
        "                pass\n            else:\n                return\n        self._unsent",
        "            except ZeroDivisionError:\n"
        "                pass\n            else:\n                return\n        self._unsent",
        "tests/unit/test_launch.py",
    ),
)
