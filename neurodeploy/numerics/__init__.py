"""Number formats, neuron updates and layer arithmetic: every rule of rounding has its one home here."""
