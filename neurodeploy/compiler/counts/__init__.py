"""Counting: blocks on cores, layers on engines, and networks as a whole."""
