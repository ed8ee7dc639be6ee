"""Rules for gathers and permutations."""

from typing import TYPE_CHECKING

import numpy as np

from nbhelpers.convert.rules.rewriting import Shapes, const, new, rule

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef


@rule("DataFormatVecPermute")
def data_format_vec_permute(node: "NodeDef", shapes: Shapes) -> list["NodeDef"] | None:
    """A gather with constant indices, for a vector of one entry an axis."""
    source, target = node.attr["src_format"].s.decode(), node.attr["dst_format"].s.decode()
    if shapes.of(node.input[0]) != (len(source),) or sorted(source) != sorted(target):
        return None
    indices = np.array([source.index(letter) for letter in target])
    return _gather(node, indices)


def _gather(node: "NodeDef", indices: np.ndarray) -> list["NodeDef"]:
    from tensorflow.core.framework import types_pb2

    index = const(f"{node.name}/indices", indices, types_pb2.DT_INT32)
    gather = new(
        node.name,
        "Gather",
        [node.input[0], index.name],
        Tparams=node.attr["T"].type,
        Tindices=types_pb2.DT_INT32,
    )
    return [index, gather]
