# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line as data: options are declared, parsed and explained from one table.

argparse takes 4 to 5 ms to import and fill (it brings gettext, shutil, bz2 and lzma), a sixth of the 30 ms that
`mctl ps` may take, and its errors name neither the value nor the bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .failures import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from .client import Client

VERBS = {
    "attach": "show the output of a container that runs, or its terminal",
    "build": "make an image as a Containerfile says",
    "can": "say what you may do with a container, and why not",
    "check": "say what this host lacks for containers, and what to do",
    "commit": "make an image of what a container has become",
    "cp": "copy files to a container or out of it",
    "create": "make a container without starting it",
    "diff": "list what a container has changed of its root file system",
    "disable": "let containers start at boot no more",
    "enable": "let containers start at boot, before anybody logs in",
    "events": "show when containers start, end, are restarted and change their health",
    "exec": "execute a command in a container that runs",
    "export": "write all that a container shows as an archive",
    "history": "show how an image was made, step by step",
    "image check": "prove that the files of images are what they were",
    "image inspect": "show all that is known about images, as JSON",
    "image prune": "remove images of yours that have no name",
    "image share": "let all users use an image",
    "images": "list images",
    "import": "make an image from a directory or an archive",
    "info": "say what serves here, what this host offers it, and how much there is",
    "inspect": "show all that is known about containers, as JSON",
    "kill": "send a signal to containers",
    "load": "bring in the images of an archive of docker, podman or skopeo",
    "logs": "show what a container has printed",
    "net": "show and change with whom a container may exchange packets",
    "network": "make, list, show and remove networks",
    "pause": "freeze containers where they are",
    "port": "show and change what ports of a container are published",
    "prune": "remove containers of yours that have ended",
    "ps": "list containers",
    "pull": "fetch an image from a registry",
    "push": "send an image to a registry",
    "rename": "give a container another name",
    "restart": "stop containers in good order and start them",
    "rm": "remove containers",
    "rmi": "remove images, or names of them",
    "run": "make a container, start it, and wait for it or leave it running",
    "save": "write an image as an archive that docker, podman and skopeo read",
    "start": "start containers that were made before or have ended",
    "stats": "show what containers use, again and again or once",
    "stop": "stop containers in good order",
    "system df": "show what images, containers and volumes take of the disk",
    "system prune": "remove all of yours that nobody uses: containers, networks, images",
    "tag": "give an image one more name",
    "top": "show the processes of a container",
    "unpause": "let paused containers go on",
    "update": "change the limits of containers, also while they run",
    "volume": "make, list, show and remove volumes",
    "wait": "wait for containers to end, and print their exit statuses",
    "who-can": "say which users may do something with a container",
    "why-not": "say whether a user may do something with a container, and what decides it",
}
ALIASES = {
    "freeze": "pause", "thaw": "unpause", "list": "ps", "ls": "ps", "image ls": "images", "image list": "images",
    "image build": "build", "image import": "import", "image rm": "rmi", "image remove": "rmi", "image save": "save",
    "image history": "history", "image load": "load", "image pull": "pull", "image push": "push", "image tag": "tag",
    "container ls": "ps", "container list": "ps", "container ps": "ps", "container remove": "rm",
    "system check": "check", "system events": "events", "system info": "info",
}  # fmt: skip
# As docker and podman have them: `container stop` is `stop`.
ALIASES |= {
    f"container {verb}": verb
    for verb in (
        "attach", "commit", "cp", "create", "diff", "exec", "export", "inspect", "kill", "logs", "pause", "port",
        "prune", "rename", "restart", "rm", "run", "start", "stats", "stop", "top", "unpause", "update", "wait",
    )
}  # fmt: skip
ACTIONS = {"list": "ls", "remove": "rm"}  # of volume and network, which take theirs as an operand
GROUPS = frozenset(("container", "image", "system"))  # verbs of two words
ELSEWHERE = {
    "compose": "files of compose are not read: `mctl run` starts each container, mctl@.service(5) orders them",
    "delete": "`mctl rm` removes containers, `mctl rmi` images",
    "login": "`skopeo login REGISTRY` writes the file that pull and push read",
    "logout": "`skopeo logout REGISTRY` does it",
    "remove": "`mctl rm` removes containers, `mctl rmi` images",
    "search": "registries are not searched; `skopeo list-tags docker://REGISTRY/NAME` lists the tags of an image",
    "shell": "`mctl exec -it NAME sh` opens one",
    "status": "`mctl ps` lists what runs, `systemctl status mctl-NAME.scope` shows one",
}


def keep(flag: str, text: str) -> object:
    """The value as it stands."""
    return text


class Option:
    """One option: a switch if it has no `value`, else the name its value goes by in the help.

    `convert` is called with the flag as typed and the text, and raises UsageError. `implied` stands for the value
    when the option comes without "=". Plain slots: two named tuples would take 1 ms to make.
    """

    __slots__ = ("convert", "help", "implied", "key", "names", "repeat", "value")

    def __init__(
        self,
        names: tuple[str, ...],
        help: str,  # noqa: A002  it is what it is
        *,
        value: str = "",
        convert: Callable[[str, str], object] = keep,
        repeat: bool = False,
        implied: str | None = None,
    ) -> None:
        self.names = names
        self.help = help
        self.value = value
        self.convert = convert
        self.repeat = repeat
        self.implied = implied
        self.key = max(names, key=len).lstrip("-").replace("-", "_")


class Verb:
    """How a verb is called.

    With `operands_end_options` all after the first operand belongs to the container's command.
    """

    __slots__ = ("failure_status", "notes", "operands_end_options", "options", "usage")

    def __init__(
        self,
        *,
        usage: str,
        options: tuple[Option, ...],
        notes: str = "",
        operands_end_options: bool = False,
        failure_status: int = 1,
    ) -> None:
        self.usage = usage
        self.options = options
        self.notes = notes
        self.operands_end_options = operands_end_options
        self.failure_status = failure_status


def remote_host(flag: str, text: str) -> str:
    from .remote import host  # only for those who name one

    return host(flag, text)


def machine(flag: str, text: str) -> str:
    from .remote import machine

    return machine(flag, text)


COMMON = (
    Option(("--no-ask-password",), "never ask for a password, fail instead"),
    Option(("--no-pager",), "never show long lists through a pager"),
    Option(("-h", "--help"), "show this text"),
)
ELSEWHERE_OPTIONS = (
    Option(("-H", "--host"), "do all of it on another host, by ssh", value="[USER@]HOST", convert=remote_host),
    Option(("-M", "--machine"), "do all of it in a machine of this host", value="[USER@]MACHINE", convert=machine),
)
GLOBAL = (*COMMON, *ELSEWHERE_OPTIONS, Option(("-v", "--version"), "show the version"))


class Arguments:
    """What was asked for: options by key, and the operands in order."""

    __slots__ = ("operands", "options")

    def __init__(self, options: dict[str, Any], operands: list[str]) -> None:
        self.options = options
        self.operands = operands

    def get(self, key: str, default: Any = None) -> Any:
        return self.options.get(key, default)


class Request:
    """A verb with its module, the words after it, and what was said before it."""

    __slots__ = ("before", "module", "name", "verb", "words")

    def __init__(self, name: str, module: ModuleType | None, words: list[str], before: Arguments) -> None:
        self.name = name
        self.module = module
        self.words = words
        self.before = before
        self.verb: Verb | None = module.VERB if module else None

    def run(self, arguments: Arguments, client: Client) -> int:
        if self.module is None:
            raise UsageError("no verb was given")
        status: int = self.module.run(arguments, client)
        return status


def find_verb(words: list[str]) -> Request:
    """Splits the command line at its verb and loads that verb's module, and no other."""
    before = scan(GLOBAL, words, stop_at_operand=True, where="mctl")
    rest = before.operands
    if before.get("host") or before.get("machine"):
        from .remote import execute

        execute(before)
    if before.get("version") or not rest:
        if not (rest or before.options.keys() & {"help", "version"}):
            raise UsageError("no verb was given; `mctl help` lists them")
        return Request("", None, rest, before)
    if rest == ["version"]:
        before.options["version"] = True
        return Request("", None, rest, before)
    if rest[0] == "help":
        before.options["help"] = True
        rest = rest[1:]
        if not rest:
            return Request("", None, rest, before)
    if rest[0] in GROUPS and (rest[1:2] in (["--help"], ["-h"]) or (before.get("help") and len(rest) == 1)):
        return Request(rest[0], None, rest[1:], before)
    typed = " ".join(rest[:2]) if rest[0] in GROUPS else rest[0]
    name = ALIASES.get(typed, typed)
    if name not in VERBS:
        raise UsageError(unknown(typed))
    return Request(name, load(name), rest[2 if rest[0] in GROUPS else 1 :], before)


def unknown(typed: str) -> str:
    known = [*VERBS, *ALIASES]
    if typed in GROUPS:
        own = sorted(verb.split()[1] for verb in known if verb.startswith(f"{typed} "))
        return f"{typed} needs a verb of its own: {', '.join(own)}"
    from .similarity import suggestion

    advice = ELSEWHERE.get(typed, "`mctl help` lists them")
    return f"unknown verb {typed!r}{'' if typed in ELSEWHERE else suggestion(typed, known)}; {advice}"


def load(name: str) -> ModuleType:
    file = "import_" if name == "import" else name.translate({32: "_", 45: "_"})  # a word of Python's
    module = __import__(f"{__package__}.commands.{file}")  # importlib's own module is not needed for this
    found: ModuleType = getattr(module.commands, file)
    return found


def parse(request: Request) -> Arguments:
    """The options and operands of a request with a verb, including the common options said before the verb."""
    verb = request.verb
    if verb is None:
        raise UsageError("no verb was given")
    where = f"mctl {request.name}"
    arguments = scan(
        (*verb.options, *COMMON),
        request.words,
        stop_at_operand=verb.operands_end_options,
        where=where,
    )
    arguments.options = {**request.before.options, **arguments.options}
    return arguments


def scan(
    options: tuple[Option, ...],
    words: list[str],
    *,
    stop_at_operand: bool,
    where: str,
) -> Arguments:
    """Parses as getopt_long(3) does, without abbreviations."""
    found = Arguments({}, [])
    table = {name: option for option in options for name in option.names}
    rest = list(reversed(words))
    while rest:
        word = rest.pop()
        if word == "--":
            break
        if word.startswith("--"):
            take_long(table, word, rest, found, where)
        elif word.startswith("-") and word != "-":
            take_short(table, word, rest, found, where)
        elif stop_at_operand:
            rest.append(word)
            break
        else:
            found.operands.append(word)
    found.operands += reversed(rest)
    return found


def take_long(table: dict[str, Option], word: str, rest: list[str], found: Arguments, where: str) -> None:
    flag, equals, text = word.partition("=")
    option = table.get(flag) or refuse(flag, table, where)
    if option.value:
        if not equals:
            text = option.implied if option.implied is not None else next_word(flag, option, rest)
        store(option, flag, text, found)
    elif equals and text not in ("true", "false"):
        raise UsageError(f"{flag} takes no value, but got {text!r}")
    else:
        found.options[option.key] = text != "false"


def take_short(table: dict[str, Option], word: str, rest: list[str], found: Arguments, where: str) -> None:
    letters = word[1:]
    while letters:
        flag, letters = f"-{letters[0]}", letters[1:]
        option = table.get(flag) or refuse(flag, table, where)
        if option.value:
            store(option, flag, letters.removeprefix("=") or next_word(flag, option, rest), found)
            return
        found.options[option.key] = True


def next_word(flag: str, option: Option, rest: list[str]) -> str:
    if not rest:
        raise UsageError(f"{flag} needs a value: {flag} {option.value}")
    return rest.pop()


def store(option: Option, flag: str, text: str, found: Arguments) -> None:
    value = option.convert(flag, text)
    if option.repeat:
        found.options.setdefault(option.key, []).append(value)
    else:
        found.options[option.key] = value


def refuse(flag: str, table: dict[str, Option], where: str) -> Option:
    from .refusals import advice

    instead = advice(where.removeprefix("mctl "), flag)
    if instead:
        raise UsageError(f"{flag} is not offered: {instead}")
    from .similarity import suggestion

    raise UsageError(f"unknown option {flag}{suggestion(flag, list(table))}; `{where} --help` lists the options")
