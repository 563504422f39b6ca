"""What a network is: the graph, its ops, its text form and what it computes in floats."""
