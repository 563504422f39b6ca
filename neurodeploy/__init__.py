"""From a trained network to a neuromorphic chip: convert, compile, emulate, learn, deploy.

::

    import neurodeploy as nd

    graph = nd.load("models/digits_cnn.keras")
    spiking = nd.convert(graph, calibration=x_train)
    program = nd.compile(spiking, "loihi1").raise_for_errors()
    recording = nd.run(program, x_test)
    print(nd.report(program, recording, y_test))

Every name is imported when it is first used, so that importing this package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurodeploy.accuracy import adapt_rounding, autotune, ladder
    from neurodeploy.backends.base import BACKENDS
    from neurodeploy.backends.loihi_simulator import LoihiSimulator
    from neurodeploy.bundle import Bundle
    from neurodeploy.data import open_samples
    from neurodeploy.diagnostics import Diagnostic, Severity
    from neurodeploy.errors import NeurodeployError
    from neurodeploy.finetune import tune
    from neurodeploy.ir.graph import Graph, Node
    from neurodeploy.program import Program
    from neurodeploy.recording import Recording
    from neurodeploy.reporting import Report
    from neurodeploy.stages import (
        check,
        compile,
        convert,
        deploy,
        emit,
        explain,
        learn,
        load,
        report,
        run,
        save,
        target,
        target_names,
        to_nengo,
    )
    from neurodeploy.sweeps import sweep
    from neurodeploy.targets import Target

__version__ = "0.1.0"

__all__ = [
    "BACKENDS",
    "Bundle",
    "Diagnostic",
    "Graph",
    "LoihiSimulator",
    "NeurodeployError",
    "Node",
    "Program",
    "Recording",
    "Report",
    "Severity",
    "Target",
    "__version__",
    "adapt_rounding",
    "autotune",
    "check",
    "compile",
    "convert",
    "deploy",
    "emit",
    "explain",
    "ladder",
    "learn",
    "load",
    "open_samples",
    "report",
    "run",
    "save",
    "sweep",
    "target",
    "target_names",
    "to_nengo",
    "tune",
]

_TYPES = {
    "BACKENDS": "backends.base",
    "Bundle": "bundle",
    "Diagnostic": "diagnostics",
    "Graph": "ir.graph",
    "LoihiSimulator": "backends.loihi_simulator",
    "NeurodeployError": "errors",
    "Node": "ir.graph",
    "Program": "program",
    "Recording": "recording",
    "Report": "reporting",
    "Severity": "diagnostics",
    "Target": "targets",
    "adapt_rounding": "accuracy",
    "autotune": "accuracy",
    "ladder": "accuracy",
    "tune": "finetune",
    "open_samples": "data",
    "sweep": "sweeps",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in __all__:
        raise AttributeError(f"module 'neurodeploy' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"neurodeploy.{_TYPES.get(name, 'stages')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
