"""Registers that remember what was written, and a board that steps what they say."""

import os
from collections import defaultdict

import numpy as np

from neurodeploy.numerics.neurons import Compartments, compartment_step


class Register:
    """Fields, sub-registers and arrays of them, made when first named."""

    def __init__(self):
        self.__dict__["cells"] = {}

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.__dict__.setdefault(name, Register())

    def __getitem__(self, index):
        return self.cells.setdefault(int(index), Register())

    def configure(self, **fields):
        self.__dict__.update(fields)


class Core(Register):
    """One core; `axons` lists where a spike of each compartment goes."""

    def __init__(self, chip, index):
        super().__init__()
        self.__dict__.update(parent=chip, id=1000 + index, axons=defaultdict(list))

    def createDiscreteAxon(self, srcCxId, dstChipId, dstCoreId, dstSynMapId):  # noqa: N802
        self.axons[srcCxId].append((dstChipId, dstCoreId, dstSynMapId, 0))

    def createPop16Axon(self, popId, srcCxId, srcRelCxId, dstChipId, dstCoreId, dstSynMapId):  # noqa: N802
        self.axons[srcCxId].append((dstChipId, dstCoreId, dstSynMapId, srcRelCxId))

    createPop32Axon = createPop16Axon  # noqa: N815

    def boot(self):
        """Read the compartments from the registers; all state is zero."""
        cells = self.cxCfg.cells
        n = max(cells) + 1 if cells else 0
        assert 4 * self.numUpdates.numUpdates >= n
        assert all(getattr(self.cxMetaState[i // 4], f"phase{i % 4}") == 2 for i in range(n))
        profiles = [self.cxProfileCfg[cells[i].cxProfile] for i in range(n)]
        shared = self.dendriteSharedCfg
        compartments = Compartments(
            decay_u=np.array([p.decayU for p in profiles]),
            decay_v=np.array([p.decayV for p in profiles]),
            vth=np.array([self.vthProfileCfg[cells[i].vthProfile].staticCfg.vth * 64 for i in range(n)]),
            bias=np.array([cells[i].bias * 2 ** cells[i].biasExp for i in range(n)]),
            refract=np.array([p.refractDelay for p in profiles]),
            vmin=1 - 2**shared.negVmLimit if n else 0,
            vmax=2 ** (9 + 2 * shared.posVmLimit) - 1 if n else 0,
        )
        zeros = np.zeros(n, np.int32)
        self.__dict__.update(size=n, compartments=compartments, u=zeros, v=zeros, wait=zeros)
        self.__dict__.update(spiked=np.zeros(n, bool), input=np.zeros(n, np.int32))

    def receive(self, axon, atom):
        """Add the weights that the synapse map finds for a spike."""
        entry = self.synapseMap[axon]
        if "discreteMapEntry" in entry.__dict__:
            base = entry.discreteMapEntry.cxBase
        elif "population16MapEntry" in entry.__dict__:
            base = entry.population16MapEntry.cxBase * 4
        else:
            base = entry.population32MapEntry.cxBase
        first = entry.synapsePtr + atom * entry.synapseLen
        for k in range(first, first + entry.synapseLen):
            synapse = self.synapses[k]
            exponent = 6 + self.synapseFmt[synapse.synFmtId].wgtExp
            self.input[base + synapse.CIdx] += synapse.Wgt * 2**exponent

    def step(self):
        u, v, spiked, wait = compartment_step(self.compartments, self.input, self.u, self.v, self.wait)
        self.__dict__.update(u=u, v=v, spiked=spiked, wait=wait, input=np.zeros(self.size, np.int32))


class Chip:
    def __init__(self, board, index, cores):
        self.parent, self.id = board, 10 + index
        self.n2Cores = self.n2CoresAsList = [Core(self, i) for i in range(cores)]


class Probe:
    def __init__(self, core, compartment, key):
        self.core, self.compartment, self.key = core, compartment, key
        self.timeSeries = type("TimeSeries", (), {"data": []})()

    def sample(self):
        state = {"u": self.core.u, "v": self.core.v, "spike": self.core.spiked}[self.key]
        self.timeSeries.data.append(int(state[self.compartment]))


class SpikeGenerator:
    def __init__(self, board):
        self.spikes = board.host_spikes = defaultdict(list)

    def addSpike(self, time, chipId, coreId, axonId):  # noqa: N802
        self.spikes[time].append((chipId, coreId, axonId, 0))

    def addPop16Spike(self, time, chipId, coreId, axonId, srcAtom, atomBits):  # noqa: N802
        assert atomBits == 0
        self.spikes[time].append((chipId, coreId, axonId, int(srcAtom)))

    def addPop32Spike(self, time, chipId, coreId, axonId, srcAtom):  # noqa: N802
        self.spikes[time].append((chipId, coreId, axonId, int(srcAtom)))


class Board:
    """A board; what the host sends in step t arrives in step t + 1, as between cores."""

    def __init__(self, board_id, n_chips, n_cores_per_chip, n_synapses_per_core):
        if os.environ.get("FAKE_BOARD_IS_DEAD"):
            raise RuntimeError("no answer from the board")
        self.n2Chips = [Chip(self, i, n_cores_per_chip[i]) for i in range(n_chips)]
        self.cores = {(chip.id, core.id): core for chip in self.n2Chips for core in chip.n2Cores}
        self.probes, self.time, self.started = [], 0, False
        self.monitor = self.executor = self

    def probe(self, cx_state, compartments, key):
        core = next(core for core in self.cores.values() if core.cxState is cx_state)
        made = [Probe(core, int(i), key) for i in compartments]
        self.probes += made
        return made

    def start(self):
        assert "KAPOHOBAY" in os.environ or "SLURM" in os.environ
        for core in self.cores.values():
            core.boot()
        self.started = True

    def hasStarted(self):  # noqa: N802
        return self.started

    def disconnect(self):
        self.started = False

    def run(self, steps, aSync=False):
        for _ in range(steps):
            arriving = list(self.host_spikes.get(self.time, ()))
            for core in self.cores.values():
                for compartment in np.flatnonzero(core.spiked):
                    arriving += core.axons[compartment]
            for chip, core, axon, atom in arriving:
                self.cores[chip, core].receive(axon, atom)
            for core in self.cores.values():
                core.step()
            for probe in self.probes:
                probe.sample()
            self.time += 1
