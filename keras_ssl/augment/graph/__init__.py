"""Graph: layers of graphs, padded to one number of nodes and of edges."""
