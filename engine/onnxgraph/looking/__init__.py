"""Look into a graph: find nodes, follow them, count their cost, draw a part."""
