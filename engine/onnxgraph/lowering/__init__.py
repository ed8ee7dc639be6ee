"""Lower the opset of a model, one version at a time, by a table of small exact rules.

A rule reads a node through `node_rewriter`, and its surroundings through `scope`. `widened_ops` is
the rule for ops that only grew, and `rules` holds the others. `steps` lowers the graph,
`reassembly` puts the model together, and `verb` proves it.
"""

from onnxgraph.lowering.verb import lower_opset, lowered

__all__ = ["lower_opset", "lowered"]
