"""The exception tree. Findings about a network are diagnostics; these are for everything else.

::

    NeurodeployError
    ├── LoadError            (ValueError)      a model file that cannot be read, or is not what it says
    │   └── UnsupportedLayer                   a layer we refuse, by name and kind
    ├── DataError            (ValueError)      samples or labels that do not fit the model
    ├── OptionError          (ValueError)      a call with a value that makes no sense
    ├── ConvertError         (ValueError)      a graph that has no spiking form
    ├── CompileError         (ValueError)      error findings, raised by `Program.raise_for_errors`
    ├── TargetError          (LookupError)     an unknown target, or a faulty hardware file
    ├── OutputError          (OSError)         a result that cannot be written
    ├── MissingExtra         (ImportError)     an optional package that is not installed
    ├── ClusterError         (RuntimeError)    workers that cannot be reached, or die again and again
    ├── DeployError          (RuntimeError)    a board or its software that is not there
    └── VerifyError          (AssertionError)  a broken invariant of ours: a bug in neurodeploy

Each message says what was found, where, and which command comes next; the command line prints it on one line
and exits with 2.
"""

from __future__ import annotations


class NeurodeployError(Exception):
    """Base of everything raised on purpose."""


class LoadError(NeurodeployError, ValueError):
    """A model file that cannot be read."""


class UnsupportedLayer(LoadError):
    """A layer that is refused, named as the user named it."""


class DataError(NeurodeployError, ValueError):
    """Samples or labels that do not fit."""


class OptionError(NeurodeployError, ValueError):
    """An option value that makes no sense."""


class ConvertError(NeurodeployError, ValueError):
    """A graph without a spiking form."""


class CompileError(NeurodeployError, ValueError):
    """A program with error findings."""


class TargetError(NeurodeployError, LookupError):
    """An unknown target or a faulty hardware file."""


class OutputError(NeurodeployError, OSError):
    """A result that cannot be written."""


class MissingExtra(NeurodeployError, ImportError):
    """An optional package that is not installed."""


class ClusterError(NeurodeployError, RuntimeError):
    """Workers of a cluster cannot be reached, or die again and again."""


class DeployError(NeurodeployError, RuntimeError):
    """A board, or the software that drives it, is not there."""


class VerifyError(NeurodeployError, AssertionError):
    """A broken invariant: a bug in neurodeploy."""

    def __init__(self, message: str) -> None:
        super().__init__(f"this is a bug in neurodeploy, please report it: {message}")


class FindingWarning(UserWarning):
    """A finding about a run that goes on: `Recording.diagnostics` has it as data."""
