"""What a hardware file may say: every key, its type, its unit and the words it may hold.

The schema is closed, so a key that is not here is a mistake in the file. A unit is part of the key's name
(`_bits`, `_steps`, `_words`, ...) or is what the key counts, so there is no number without a unit.
"""

from __future__ import annotations

from collections.abc import Mapping

from neurodeploy.targets.fields import Field

SCHEMA = 1

GRADES = ("documented", "code", "measured", "simulated", "derived", "secondary", "recall")
"""How far a number can be trusted, strongest first; only the first five may refuse a model."""

STATUS = ("emulated", "checked-on-silicon", "documents-only", "announced", "not-spiking")
MAPPINGS = ("cores", "layer-engines", "processors", "crossbar", "ensemble")
KINDS = ("chip", "board", "template")
HEADER = ("schema", "id", "name", "vendor", "kind", "status", "mapping", "year", "process", "like")


def _counted(*names: str) -> dict[str, Field]:
    """Keys that count what they are named after."""
    return {name: Field("count", name.replace("_", " ")) for name in names}


def _some(*names: str) -> dict[str, Field]:
    """Keys of what every part has at least one of."""
    return {name: Field("some", name.replace("_", " ")) for name in names}


COST_MODELS = ("loihi1-nengo", "loihi1-nxtf", "sinabs")
SIGN_MODES = ("mixed", "excitatory", "inhibitory", "per-source", "row-pair")
OVERFLOW = ("wrap", "saturate", "unobserved")
MODELS = ("if", "lif", "cuba-lif", "li", "i", "relay", "noise", "izhikevich", "adex", "any", "quantized-relu")
OPS = (
    "affine", "conv1d", "conv2d", "sum-pool2d", "avg-pool2d", "max-pool2d", "separable-conv2d",
    "global-avg-pool2d", "input-conv2d", "scale", "flatten", "transposed-conv2d",
)  # fmt: skip
FORMS = ("fraction-4096", "fraction", "shift", "subtractive", "analog", "microcode", "any")
GLOBAL_PARAMS = (
    "vmin", "vmax", "noise_exp", "noise_offset", "noise_target", "decay_u_is_0", "decay_v_is_4096",
    "learning_epoch",
)  # fmt: skip
FACTORS = ("x0", "x1", "x2", "y0", "y1", "y2", "y3", "w", "d", "t", "r0", "r1")

_CORE: dict[str, Field] = {
    **_some("compartments", "neurons"),
    **_counted("in_axons", "out_axon_entries"),
    "count": Field("some", "cores"),
    "out_axon_entries_offchip": Field("count", "out axon entries"),
    "synapse_memory_words": Field("count", "words"),
    "word_bits": Field("count", "bits"),
    "words_per_axon": Field("count", "words"),
    "kernel_words": Field("count", "words"),
    "neuron_words": Field("count", "words"),
    "bias_words": Field("count", "words"),
    "synapses": Field("count", "synapses"),
    "state_bytes": Field("count", "bytes"),
    "state_bytes_per_neuron": Field("count", "bytes"),
    "sram_bytes": Field("count", "bytes"),
    "ring_buffer_entries": Field("count", "entries"),
    "spike_buffer": Field("count", "spikes"),
    "clock_hz": Field("count", "Hz"),
    "cycles_budget": Field("number", "fraction"),
    "global_params": Field("words", "", GLOBAL_PARAMS),
    "profiles.compartment": Field("count", "compartment profiles"),
    "profiles.threshold": Field("count", "threshold profiles"),
    "profiles.synapse_format": Field("count", "synapse formats"),
    "profiles.stdp": Field("count", "learning profiles"),
}

_CHIP: dict[str, Field] = {
    **_some("cores", "tiles", "neurons"),
    **_counted("embedded_cpus", "synapses", "router_entries", "chips_in_mesh"),
    "sram_bytes": Field("count", "bytes"),
    "sdram_bytes": Field("count", "bytes"),
    "mesh": Field("counts", "tiles"),
}

_SYNAPSE: dict[str, Field] = {
    "cost_model": Field("word", "", COST_MODELS),
    "compression": Field("words", "", ("sparse", "runlength", "dense")),
    "destination_groups": Field("count", "groups"),
    "weight_sharing": Field("flag"),
    "bytes_per_synapse": Field("count", "bytes"),
    "weight.bits": Field("counts", "bits"),
    "weight.sign_modes": Field("words", "", SIGN_MODES),
    "weight.min": Field("integer", "codes"),
    "weight.max": Field("integer", "codes"),
    "weight.exponent_min": Field("integer", "powers of two"),
    "weight.exponent_max": Field("integer", "powers of two"),
    "weight.lsb_lost_when_mixed": Field("flag"),
    "weight.accumulate_shift_bits": Field("count", "bits"),
    "index.bits": Field("counts", "bits"),
    "index.offset_max": Field("count", "compartments"),
    "index.mult_max": Field("count", "multiples"),
    "index.base_max": Field("count", "compartments"),
    "index.skip_bits": Field("counts", "bits"),
}
for _model in COST_MODELS:
    _SYNAPSE |= {
        f"cost_models.{_model}.synapses_per_entry": Field("count", "synapses"),
        f"cost_models.{_model}.entry_head_bits": Field("count", "bits"),
        f"cost_models.{_model}.spare_word_from_bit": Field("count", "bits"),
        f"cost_models.{_model}.index_in_dense_head": Field("flag"),
        f"cost_models.{_model}.rows_together": Field("flag"),
    }
for _kind in ("discrete", "pop16", "pop32"):
    _SYNAPSE |= {
        f"axon_kinds.{_kind}.slots": Field("count", "entries"),
        f"axon_kinds.{_kind}.extra_if_offchip": Field("count", "entries"),
        f"axon_kinds.{_kind}.axon_bits": Field("count", "bits"),
        f"axon_kinds.{_kind}.atoms_max": Field("count", "atoms"),
        f"axon_kinds.{_kind}.base_multiple": Field("count", "compartments"),
    }

_CONNECTIVITY: dict[str, Field] = {
    "fan_in": Field("count", "synapses"),
    "fan_in_signed": Field("count", "synapses"),
    "fan_out": Field("count", "synapses"),
    "fan_out_cores": Field("count", "cores"),
    "destinations_per_layer": Field("count", "layers"),
    "recurrence": Field("flag"),
    "axon_types": Field("count", "axon types"),
    "weights_per_neuron": Field("count", "weights"),
    "populations_per_compartment": Field("count", "populations"),
    "aliases_per_neuron": Field("count", "aliases"),
}

_NEURON: dict[str, Field] = {
    "models": Field("words", "", MODELS),
    "reset": Field("words", "", ("hard-zero", "hard-value", "subtract")),
    "soft_reset_cost_compartments": Field("count", "compartments"),
    "compartments_per_neuron": Field("count", "compartments"),
    "synaptic_states": Field("count", "synaptic states"),
    "shared_by": Field("count", "neurons"),
    "clamp.vmin_exponent_max": Field("count", "powers of two"),
    "clamp.vmax_exponent_max": Field("count", "powers of two"),
    "clamp.vmax_exponent_base": Field("count", "powers of two"),
    "clamp.floor": Field("integer", "membrane units"),
    "threshold.mantissa_bits": Field("count", "bits"),
    "threshold.exponent": Field("count", "powers of two"),
    "threshold.min": Field("count", "mantissa codes"),
    "threshold.compare": Field("word", "", ("gt", "ge")),
    "bias.mantissa_bits": Field("count", "bits"),
    "bias.signed": Field("flag"),
    "bias.exponent_max": Field("count", "powers of two"),
    "decay.bits": Field("count", "bits"),
    "decay.max": Field("count", "codes"),
    "decay.form": Field("word", "", FORMS),
    "decay.offset_u": Field("count", "codes"),
    "decay.offset_v": Field("count", "codes"),
    "decay.tau_max_steps": Field("number", "steps"),
    "decay.rounding": Field("word", "", ("toward-zero", "nearest", "floor")),
    "decay.exclusive": Field("pairs", "codes"),
    "refractory.min_steps": Field("count", "steps"),
    "refractory.max_steps": Field("count", "steps"),
    "noise.exponent_min": Field("integer", "powers of two"),
    "noise.exponent_max": Field("integer", "powers of two"),
    "noise.targets": Field("words", "", ("current", "voltage")),
}
for _register in ("input", "current", "membrane", "trace"):
    _NEURON |= {
        f"registers.{_register}.bits": Field("count", "magnitude bits"),
        f"registers.{_register}.signed": Field("flag"),
        f"registers.{_register}.overflow": Field("word", "", OVERFLOW),
    }

_LAYER: dict[str, Field] = {
    "kernel_max": Field("count", "values"),
    "kernel_sizes": Field("counts", "values"),
    "kernel_square": Field("flag"),
    "strides": Field("counts", "values"),
    "strided_kernels": Field("counts", "values"),
    "filters_by_kernel": Field("pairs", "filters"),
    "filters_by_kernel_colour": Field("pairs", "filters"),
    "channels": Field("counts", "channels"),
    "width_min": Field("count", "values"),
    "width_max": Field("count", "values"),
    "height_min": Field("count", "values"),
    "padding_max": Field("count", "values"),
    "dilations": Field("counts", "values"),
    "groups": Field("counts", "groups"),
    "channels_max": Field("count", "channels"),
    "sizes": Field("counts", "values"),
    "square": Field("flag"),
    "inputs_max": Field("count", "values"),
    "input_shape_max": Field("counts", "values"),
    "output_shape_max": Field("counts", "values"),
    "weight_bits": Field("counts", "bits"),
    "activation_bits": Field("counts", "bits"),
}

_LEARNING: dict[str, Field] = {
    "supported": Field("flag"),
    "on": Field("word", "", ("all", "last-layer")),
    "rule_form": Field("word", "", ("sum-of-products", "sdsp", "e-prop", "last-layer-binary", "arbitrary")),
    "epoch_min_steps": Field("count", "steps"),
    "epoch_max_steps": Field("count", "steps"),
    "trace_bits": Field("count", "bits"),
    "trace_impulse_max": Field("count", "codes"),
    "acc_bits": Field("count", "bits"),
    "lr_exponent_min": Field("integer", "powers of two"),
    "error_clip": Field("count", "codes"),
    "same_core_with_static": Field("flag"),
    "weight_bits": Field("counts", "bits"),
    "tau_min_steps": Field("number", "steps"),
    "tau_whole_steps": Field("flag"),
    "dependencies": Field("words", "", ("x0", "y0", "u")),
    "decimation_max": Field("count", "powers of two"),
    "decimation_shared": Field("flag"),
    "factors": Field("words", "", FACTORS),
    "third_factors": Field("words", "", ("imposed-trace", "neuron-trace")),
    "products_max": Field("count", "products"),
    "mantissa_bits": Field("count", "bits"),
    "constant_bits": Field("count", "bits"),
    "impulse_fraction_bits": Field("count", "bits"),
    "weight_fraction_bits": Field("count", "bits"),
    "tag_bits": Field("count", "bits"),
    "delay_bits": Field("count", "bits"),
}

_REST: dict[str, dict[str, Field]] = {
    "delay": {
        "min_steps": Field("count", "steps"),
        "max_steps": Field("count", "steps"),
        "implicit_steps": Field("count", "steps"),
        "bits": Field("counts", "bits"),
        "extension": Field("word", "", ("relay-neuron", "delay-extension core")),
    },
    "spike": {
        "payload_bits": Field("count", "bits"),
        "message_bits": Field("count", "bits"),
        "per_step_max": Field("count", "spikes"),
    },
    "time": {
        "step_ns_typical": Field("number", "ns"),
        "step_ns_min": Field("number", "ns"),
        "clocked": Field("flag"),
        "barrier_ns_min": Field("number", "ns"),
        "barrier_ns_max": Field("number", "ns"),
        "acceleration": Field("number", "times real time"),
        "run_max_s": Field("number", "s"),
    },
    "io": {
        "in_spikes_per_step": Field("count", "spikes"),
        "out_spikes_per_step": Field("count", "spikes"),
        "in_channels": Field("count", "channels"),
        "out_channels": Field("count", "channels"),
        "readout_classes": Field("count", "classes"),
        "packet_bytes": Field("count", "bytes"),
        "host_bandwidth_mib_s": Field("number", "MiB/s"),
        "host_messages_per_s": Field("number", "messages/s"),
        "dvs_input": Field("flag"),
        "hidden_fed_by_input": Field("count", "neurons"),
        "hidden_feeding_output": Field("count", "neurons"),
        "input_synapses_per_neuron": Field("count", "synapses"),
    },
    "rate": {
        "neurons_per_core": Field("count", "neurons"),
        "max_firing_hz": Field("number", "Hz"),
        "synops_per_s": Field("number", "synops/s"),
        "input_spikes_per_channel_step": Field("count", "spikes"),
        "hidden_spikes_per_step": Field("count", "spikes"),
        "output_spikes_per_step": Field("count", "spikes"),
    },
    "energy": {
        "scope": Field("word", "", ("per_term", "all_in")),
        "basis": Field("word", "", ("simulated", "measured", "derived")),
        "supply_v": Field("number", "V"),
        "operating_point": Field("text"),
        "unpriced": Field("texts"),
        **{
            f"terms.{name}_pj": Field("number", "pJ")
            for name in (
                "synop", "synop_stdp_update", "neuron_update_active", "neuron_update_inactive",
                "spike_in_tile", "hop_ew", "hop_ns", "hop", "spike_out",
            )
        },
        "terms.static_per_chip_mw": Field("number", "mW"),
        "terms.static_per_core_mw": Field("number", "mW"),
    },
    "board": {
        **_some("chips", "cores", "neurons"),
        **_counted("synapses"),
        "mesh": Field("counts", "chips"),
        "host": Field("word", "", ("usb", "ethernet", "fpga-ethernet", "arria10", "spi", "udp")),
        "power_idle_mw": Field("number", "mW"),
        "power_max_mw": Field("number", "mW"),
    },
    "fpga": {
        "lut": Field("count", "LUT"),
        "ff": Field("count", "flip-flops"),
        "bram_bits": Field("count", "bits"),
        "dsp": Field("count", "DSP slices"),
        "neurons_per_cycle": Field("number", "neurons"),
        "neurons_x_dimensions": Field("count", "products"),
    },
}  # fmt: skip

FIELDS: Mapping[str, Field] = {
    **{f"chip.{k}": f for k, f in _CHIP.items()},
    **{f"core.{k}": f for k, f in _CORE.items()},
    **{f"synapse.{k}": f for k, f in _SYNAPSE.items()},
    **{f"connectivity.{k}": f for k, f in _CONNECTIVITY.items()},
    **{f"neuron.{k}": f for k, f in _NEURON.items()},
    **{f"layers.{op}.{k}": f for op in OPS for k, f in _LAYER.items()},
    **{f"learning.{k}": f for k, f in _LEARNING.items()},
    **{f"{table}.{k}": f for table, rows in _REST.items() for k, f in rows.items()},
}
"""Every fact by its path; ``core`` stands for each ``[[core_class]]``."""

FACT_KEYS = ("value", "src", "grade", "conflict", "note")
RIVAL_KEYS = ("value", "src", "note")
COUPLED_FORMS = ("product_le", "sum_le")
COUPLED_KEYS = ("name", "form", "terms", "limit")
COUPLED_TERMS = ("core.compartments", "2**delay_bits", "core.neurons", "delay_slots", "synapse_types")
ERRATUM_KEYS = ("id", "text", "src")
SOURCE_KEYS = ("title", "doi", "url", "licence")
COUPLED_LIMIT = Field("count", "in all")
BOARD_TABLES = ("board", "io", "energy", "time")
"""Tables a board file may fill freely; in all others it may only tighten the chip."""

_SAID_BY_ALL = (
    "connectivity.fan_in", "connectivity.fan_out", "connectivity.recurrence", "delay.min_steps",
    "delay.max_steps", "learning.supported", "neuron.models", "neuron.reset", "neuron.decay.form",
    "synapse.weight.bits", "synapse.weight.sign_modes", "synapse.weight_sharing", "spike.payload_bits",
    "time.clocked", "time.step_ns_typical", "io.in_channels", "io.out_channels", "energy.scope",
)  # fmt: skip
_CORES = ("chip.cores", "core.count", "core.in_axons", "core.out_axon_entries")
SAID: Mapping[str, tuple[str, ...]] = {
    "cores": (*_SAID_BY_ALL, *_CORES),
    "crossbar": (*_SAID_BY_ALL, *_CORES, "core.synapses", "connectivity.fan_in_signed"),
    "layer-engines": (
        *_SAID_BY_ALL, "core.count", "core.kernel_words", "core.neuron_words", "core.bias_words",
        "connectivity.destinations_per_layer", "rate.synops_per_s",
    ),
    "processors": (
        *_SAID_BY_ALL, *_CORES, "core.sram_bytes", "core.clock_hz", "chip.sdram_bytes", "chip.router_entries",
        "synapse.bytes_per_synapse",
    ),
    "ensemble": (
        *_SAID_BY_ALL, *(f"fpga.{k}" for k in _REST["fpga"]), "core.clock_hz", "core.neurons",
    ),
}  # fmt: skip
"""What a file says for each mapping, if only that nobody knows; what it leaves out counts as unknown."""
