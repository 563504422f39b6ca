"""From a spiking graph and a target to a Program."""
