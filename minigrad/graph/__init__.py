"""The graph: operations, nodes, leaves, where they were made, and walks over them."""
