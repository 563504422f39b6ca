"""Code that runs a Program or a Graph, or emits it for a board."""
