"""Registers: the number formats of one target, read once for the passes that round."""

from __future__ import annotations

from dataclasses import dataclass

from neurodeploy.targets import Target


@dataclass(frozen=True)
class Registers:
    """Widths and bounds of a chip that decays by fractions of 4096, as Loihi does."""

    decay_bits: int
    decay_top: int
    offset_u: int
    offset_v: int
    threshold_bits: int
    threshold_exponent: int
    bias_bits: int
    bias_exponent_max: int
    vmin_exponent_max: int
    vmax_exponent_max: int
    vmax_exponent_base: int
    input_bits: int
    current_bits: int
    membrane_bits: int
    shift: int
    exponent_min: int
    exponent_max: int
    weight_bits: tuple[int, ...]
    refractory_max: int

    @property
    def threshold_max(self) -> int:
        """Largest threshold."""
        return int((2**self.threshold_bits - 1) * 2**self.threshold_exponent)

    @property
    def bias_max(self) -> int:
        """Largest bias."""
        return int((2**self.bias_bits - 1) * 2**self.bias_exponent_max)

    @property
    def decay_start(self) -> float:
        """Largest input of one step, at which the loss of a decay is estimated."""
        return float(2**self.input_bits)


def registers(target: Target) -> Registers | None:
    """Return the registers of a target, or None if it does not compute in this form."""
    if target.limit("neuron.decay.form").value != "fraction-4096":
        return None
    number = target.require
    return Registers(
        decay_bits=number("neuron.decay.bits"),
        decay_top=number("neuron.decay.max"),
        offset_u=number("neuron.decay.offset_u"),
        offset_v=number("neuron.decay.offset_v"),
        threshold_bits=number("neuron.threshold.mantissa_bits"),
        threshold_exponent=number("neuron.threshold.exponent"),
        bias_bits=number("neuron.bias.mantissa_bits"),
        bias_exponent_max=number("neuron.bias.exponent_max"),
        vmin_exponent_max=number("neuron.clamp.vmin_exponent_max"),
        vmax_exponent_max=number("neuron.clamp.vmax_exponent_max"),
        vmax_exponent_base=number("neuron.clamp.vmax_exponent_base"),
        input_bits=number("neuron.registers.input.bits"),
        current_bits=number("neuron.registers.current.bits"),
        membrane_bits=number("neuron.registers.membrane.bits"),
        shift=number("synapse.weight.accumulate_shift_bits"),
        exponent_min=number("synapse.weight.exponent_min"),
        exponent_max=number("synapse.weight.exponent_max"),
        weight_bits=target.words("synapse.weight.bits"),
        refractory_max=number("neuron.refractory.max_steps"),
    )
