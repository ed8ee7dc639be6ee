"""Look into a graph: find nodes, follow them, count what they cost, draw a part."""
