"""Derivatives as graphs: adjoints of nodes and of edges, tangents, and what users call."""
