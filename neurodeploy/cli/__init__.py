"""The command line: one subcommand per stage; parse, call, print, exit.

Exit codes: 0 done, 1 findings, 2 could not run, 130 interrupted. Results go to stdout, progress and
diagnostics to stderr. Nothing but `argparse` is imported before a command is known, so ``--help`` answers
at once.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from neurodeploy.cli.parser import make_parser
from neurodeploy.errors import NeurodeployError

if TYPE_CHECKING:
    import argparse

DONE, FINDINGS, COULD_NOT_RUN, PIPE_CLOSED, INTERRUPTED = 0, 1, 2, 141, 130
"""Exit codes; the last two are what a shell reports for SIGPIPE and SIGINT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        Without the program's name; the process's own arguments by default.

    Returns
    -------
    int
        Exit code.
    """
    _open_streams()
    parser = make_parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has printed help, the version, or one message
        return stop.code if isinstance(stop.code, int) else COULD_NOT_RUN
    if not hasattr(args, "run"):
        parser.print_help(sys.stderr)
        return COULD_NOT_RUN
    try:
        code = _call(args)
        sys.stdout.flush()
    except KeyboardInterrupt:  # while a message was printed
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone
        _drop_output()
        return PIPE_CLOSED
    except OSError as error:  # a full disk, for one
        _drop_output()
        return _fail(f"cannot write to standard output: {error.strerror}", args, error)
    return code


def _open_streams() -> None:
    """Make printing safe: a stream that was closed takes nothing, names in no encoding are escaped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open to the end
        elif isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Keep Python from complaining when it flushes what nobody can take."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _call(args: argparse.Namespace) -> int:
    """Import and run the command, turning every known kind of trouble into one message."""
    module, function = args.run.split(":")
    try:
        return int(getattr(importlib.import_module(module), function)(args))
    except NeurodeployError as error:
        return _fail(str(error), args, error)
    except MemoryError as error:
        return _fail("not enough memory; lower --steps or --limit, or use a smaller model", args, error)
    except KeyboardInterrupt as error:
        print(f"neurodeploy: {str(error) or 'interrupted'}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC and not error.filename:
            raise
        return _fail(f"{error.filename or 'input or output'}: {error.strerror or error}", args, error)
    except Exception as error:
        hint = "see the traceback above" if args.debug else "run again with --debug for the traceback"
        return _fail(
            f"this is a bug in neurodeploy, please report it ({type(error).__name__}: {error}); {hint}",
            args,
            error,
        )


def _fail(message: str, args: argparse.Namespace, error: BaseException) -> int:
    if args.debug:
        import traceback

        traceback.print_exception(error)
    from neurodeploy.cli.console import note

    note(message)
    return COULD_NOT_RUN
