"""The verbs, and one way to define one: the same table parses, prints --help and completes.

Parsing follows kubectl (pflag): flags and words in any order, `--flag=value` or `--flag value`, `-nvalue`, switches
together (`-it`), `--switch=false`, and everything after `--` taken as it is.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

VERBS = {  # in the order and groups of the help text
    "Pods": (
        "apply",
        "run",
        "get",
        "describe",
        "events",
        "logs",
        "exec",
        "attach",
        "debug",
        "port-forward",
        "cp",
        "top",
        "wait",
        "delete",
    ),
    "What a pod is": ("observe", "plan", "trace", "step", "continue", "enter"),
    "This machine": ("image", "node"),
    "Other": ("version", "completion", "help"),
}


class UsageError(Exception):
    """The command can't be understood; nothing has been sent. `verb` is whose --help to point at."""

    def __init__(self, message: str, verb: str = "") -> None:
        super().__init__(message)
        self.verb = verb


class Option:
    """`-s, --name VALUE`; a switch if `value` is empty.

    `complete` says what completion offers: "a|b|c", or one of file, pod, pod/, pod:, container, image, verb.
    """

    __slots__ = ("complete", "help", "name", "short", "value")

    def __init__(self, name: str, help_: str, short: str = "", value: str = "", complete: str = "") -> None:
        self.name, self.help, self.short, self.value, self.complete = name, help_, short, value, complete


COMMON = (
    Option("namespace", "The namespace (default: default)", "n", "NS"),
    Option("help", "Show this help", "h"),
)


class Command:
    """A verb. `words` says, like Option.complete, what each word may be; the last repeats."""

    __slots__ = ("about", "dashes", "examples", "name", "options", "run", "summary", "usage", "words")

    def __init__(
        self,
        name: str,
        summary: str,
        run: "Callable[[Args], int]",
        *,
        usage: tuple[str, ...],
        examples: tuple[tuple[str, str], ...],  # what for, command
        options: tuple[Option, ...] = (),
        about: str = "",
        words: tuple[str, ...] = (),
        dashes: bool = False,  # what follows `--` is a command, not more words
    ) -> None:
        self.name, self.summary, self.run, self.about = name, summary, run, about
        self.usage, self.examples, self.words, self.dashes = usage, examples, words, dashes
        self.options = options + COMMON

    def find(self, name: str) -> Option | None:
        """By long name, or by `-s`."""
        for option in self.options:
            if name in (option.name, f"-{option.short}"):
                return option
        return None


class Args:
    """What was on the command line, by long names."""

    __slots__ = ("flags", "rest", "verb", "words")

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.words: list[str] = []
        self.rest: list[str] = []  # after `--`
        self.flags: dict[str, list[str]] = {}

    def all(self, name: str) -> list[str]:
        return self.flags.get(name, [])

    def text(self, name: str, default: str = "") -> str:
        return self.flags[name][-1] if name in self.flags else default

    def on(self, name: str, default: bool = False) -> bool:
        return self.text(name) == "true" if name in self.flags else default

    def number(self, name: str) -> str:
        """A whole number, as text; empty if not given."""
        text = self.text(name)
        if text and not text.removeprefix("-").isdecimal():
            raise UsageError(
                f'invalid argument "{text}" for "--{name}" flag: a whole number is needed', self.verb
            )
        return text

    @property
    def namespace(self) -> str:
        return self.text("namespace", "default")


def load(verb: str) -> Command:
    """The COMMAND of a verb's module, the only one that is imported; UsageError for a word that is none."""
    if any(verb in group for group in VERBS.values()) or verb == "__complete":
        # A keyword is no name for a module.
        name = f"minipod.cli.{'continue_' if verb == 'continue' else verb.lstrip('_').replace('-', '_')}"
        __import__(name)
        command: Command = sys.modules[name].COMMAND
        return command
    found = suggest(verb, [name for group in VERBS.values() for name in group])
    raise UsageError(
        f'unknown command "{verb}" for "minipod"' + (f"\n\nDid you mean this?\n\t{found}\n" if found else "")
    )


def parse(command: Command, argv: list[str]) -> Args:
    """Raises UsageError."""
    args = Args(command.name)
    left = list(reversed(argv))
    while left:
        word = left.pop()
        if word == "--":
            args.rest = left[::-1]
            break
        if word.startswith("--"):
            _long(command, args, word, left)
        elif word.startswith("-") and word != "-":
            _shorts(command, args, word, left)
        else:
            args.words.append(word)
    if not command.dashes:
        args.words += args.rest
        args.rest = []
    return args


def _long(command: Command, args: Args, word: str, left: list[str]) -> None:
    name, equals, value = word[2:].partition("=")
    option = command.find(name)
    if not option:
        raise UsageError(f"unknown flag: --{name}" + _similar(command, name), command.name)
    if equals or not option.value:
        _set(command, args, option, value if equals else "true")
    elif left:
        _set(command, args, option, left.pop())
    else:
        raise UsageError(f"flag needs an argument: --{name}", command.name)


def _shorts(command: Command, args: Args, word: str, left: list[str]) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        option = command.find(f"-{letter}")
        if not option:
            raise UsageError(f"unknown shorthand flag: '{letter}' in {word}", command.name)
        if not option.value:
            value = "true"
            if letters.startswith("="):
                value, letters = letters[1:], ""
            _set(command, args, option, value)
        elif letters or left:
            _set(command, args, option, letters.removeprefix("=") or left.pop())
            return
        else:
            raise UsageError(f"flag needs an argument: '{letter}' in {word}", command.name)


def _set(command: Command, args: Args, option: Option, value: str) -> None:
    if not option.value:
        word = value.lower()
        if word not in ("true", "false", "t", "f", "1", "0"):
            raise UsageError(
                f'invalid argument "{value}" for "--{option.name}" flag: true or false is needed',
                command.name,
            )
        value = "true" if word in ("true", "t", "1") else "false"
    args.flags.setdefault(option.name, []).append(value)


def _similar(command: Command, name: str) -> str:
    found = suggest(name, [option.name for option in command.options])
    return f" (did you mean --{found}?)" if found else ""


def suggest(word: str, known: list[str]) -> str:
    """The known word that `word` may be a slip of; empty if none is near."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word.lower(), known, 1, 0.6)), "")
