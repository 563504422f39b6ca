"""A stand-in for Intel's NxSDK: it takes what nengo-loihi writes to a board, and runs what was written.

It knows the registers only: what it computes, it computes from what a real board would be configured with.
"""

import sys
import types
from typing import ClassVar

from nxsdk import registers

__version__ = "1.0.0"


class Graph:
    """Base of nengo-loihi's snip maker; there are no snips here."""


class Phase:
    EMBEDDED_MGMT = HOST_CONCURRENT_EXECUTION = EMBEDDED_PRELEARN_MGMT = None


class N2SpikeProbe:
    probeDict: ClassVar[dict] = {}  # noqa: N815


_MODULES = {
    "compiler.microcodegen.interface": {},
    "graph.graph": {"Graph": Graph},
    "graph.nxinputgen.nxinputgen": {"BasicSpikeGenerator": registers.SpikeGenerator},
    "graph.nxprobes": {"N2SpikeProbe": N2SpikeProbe},
    "graph.processes.phase_enums": {"Phase": Phase},
    "arch.n2a.compiler.tracecfggen.tracecfggen": {"TraceCfgGen": object},
    "arch.n2a.n2board": {"N2Board": registers.Board},
}
for _path, _names in _MODULES.items():
    _above = sys.modules[__name__]
    _full = __name__
    for _part in _path.split("."):
        _full += f".{_part}"
        _module = sys.modules.setdefault(_full, types.ModuleType(_full))
        setattr(_above, _part, _module)
        _above = _module
    vars(_above).update(_names)
