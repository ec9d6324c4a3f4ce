"""Loops in the graph: a body traced once, one node for all steps, its derivatives, its rewrites."""
