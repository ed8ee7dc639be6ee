"""Lower the opset of a model, one version at a time, by a table of small exact rules.

`scope` and `site` are what a rule sees, `widened` is the rule of ops that only grew, `rules` holds
the others, `steps` goes down, `whole` puts the model together, and `verb` proves it.
"""

from onnxgraph.lowering.verb import lower_opset, lowered

__all__ = ["lower_opset", "lowered"]
