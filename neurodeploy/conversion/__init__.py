"""From a rate graph to a spiking graph; no chip is known here."""
