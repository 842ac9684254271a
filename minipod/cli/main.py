"""The `minipod` command: finds the verb, runs it, leaves.

A verb is a module of this package with a COMMAND; only the one that was asked for is imported. The process leaves
by `_exit`: everything printed went through write(2), and tearing the interpreter down would cost 2 ms.
"""

import _signal  # type: ignore[import-not-found]  # signal without its enums, which cost 3 ms
import posix
import sys

from minipod.cli.options import UsageError, load, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Never returns; exit codes as kubectl: 0, 1 for errors, the command's own for exec.

    Ctrl-C ends it as it ends programs written in C (the shell says 130): quietly, and also in the moment before a
    system call that blocks, when Python's own handler would have to wait for the call to return.
    """
    if callable(_signal.getsignal(_signal.SIGINT)):  # not if it is ignored, as in a job with & of a script
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    code = 1
    try:
        code = run(sys.argv[1:])
    except BrokenPipeError:
        _die_of_sigpipe()
    except Exception as error:
        from minipod.errors import MinipodError

        if not isinstance(error, (MinipodError, OSError)):
            raise
        if isinstance(error, OSError) and error.filename is not None:
            _report(f"{error.filename}: {error.strerror}")
        else:
            _report(str(error))
    posix._exit(code)


def run(argv: list[str]) -> int:
    """Runs one command line; the exit code. Errors of use are reported here, others raised."""
    try:
        leading, argv = _leading_flags(argv)
        if not argv:
            return _without_verb(leading)
        command = load(argv[0])
        args = parse(command, leading + argv[1:])
        if args.on("help"):
            from minipod.cli.help import describe

            return _print(describe(command))
        return command.run(args)
    except UsageError as error:
        verb = f"{error.verb} " if error.verb else ""
        _report(f"{error}\nSee 'minipod {verb}--help' for usage.")
        return 1


def _without_verb(flags: list[str]) -> int:
    from minipod.cli.help import first_steps, overview

    if flags and flags[-1] not in ("-h", "--help"):
        raise UsageError(f"a verb is missing after: minipod {' '.join(flags)}")
    return _print(overview() if flags else first_steps())


def _print(text: str) -> int:
    from minipod.cli.console import out

    out(text)
    return 0


def _leading_flags(argv: list[str]) -> tuple[list[str], list[str]]:
    """`minipod -n web get pods`: flags may stand before the verb, as with kubectl."""
    i = 0
    while i < len(argv) and argv[i].startswith("-"):
        i += 2 if argv[i] in ("-n", "--namespace") else 1
    return argv[:i], argv[i:]


def _report(message: str) -> None:
    from minipod.cli.console import err

    try:
        err(f"error: {message}")
    except OSError:
        pass  # nobody to tell


def _die_of_sigpipe() -> None:
    """Nobody reads what we print (`minipod logs x | head`): end quietly, as programs written in C do."""
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    posix.kill(posix.getpid(), _signal.SIGPIPE)


if __name__ == "__main__":
    main()
