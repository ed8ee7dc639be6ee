"""Lower the opset of a model, one version at a time, by a table of small exact rules.

A rule sees a node through `node_rewriter`, and what is known around it through `scope`. `widened`
is the rule of ops that only grew, and `rules` holds the others. `steps` goes down, `restored` puts
the model together, and `verb` proves it.
"""

from onnxgraph.lowering.verb import lower_opset, lowered

__all__ = ["lower_opset", "lowered"]
