"""Refuse ops that do more than compute: they access files, the network or this process.

A graph from somebody else is a program. Such ops are refused before TensorFlow sees the graph,
because its import already computes what depends on constants alone, and a loader runs the nodes
that the graph names.
"""

import contextlib
import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING

from graphcore.enumeration import listed
from graphcore.errors import GraphError, unknown_name
from tfgraph.graphs.order import maker
from tfgraph.graphs.reachable import callees, reached

if TYPE_CHECKING:
    from tensorflow.core.framework.function_pb2 import FunctionDef
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    Nodes = Mapping[str, NodeDef]
    Found = Iterable[tuple[NodeDef, str]]
    Scope = tuple[Iterable[NodeDef], Nodes, set[str]]


FAMILIES = {
    "reads files": "ReadFile|MatchingFiles|ImmutableConst|RecordInput|Skipgram|"
    r"LoadAndRemapMatrix|GenerateVocabRemapping|(WholeFile|TextLine|TFRecord|FixedLengthRecord|"
    r"LMDB)Reader(V\d)?",
    "reads or writes data sets in files": "(Experimental)?(TFRecord|TextLine|FixedLengthRecord|CSV|"
    r"LMDB|Sql|MatchingFiles|Cache|Snapshot|SnapshotChunk|ListSnapshotChunks|Load|Save)Dataset"
    r"(V\d)?|Snapshot(Nested)?DatasetReader|(Experimental)?DatasetToTFRecord",
    "writes files": "WriteFile|DumpTensor|CalibrationStatisticsSaver",
    "reads or writes checkpoints": "Save|SaveSlices|SaveV2|"
    "MergeV2Checkpoints|DistributedSave|DTensorRestoreV2",
    "writes summaries to files": r"CreateSummary(File|Db)Writer|Write\w*Summary|ImportEvent|"
    "(Flush|Close)SummaryWriter",
    "sends tensors to a debugger, or to files": r"Debug\w+",
    "runs Python of this process": "PyFunc|PyFuncStateless|EagerPyFunc",
    "talks to other machines": r"DataServiceDataset(V\d)?|RegisterDataset(V\d)?|Rpc\w+|"
    r"(BigQuery|Bigtable|Kafka|Ignite|Kinesis|Arrow|GcsConfigure)\w+",
    "runs code of its own": r"TRTEngineOp|FFmpeg\w*|DecodeVideo|DecodeAudio|EncodeAudio",
    "ends this process": "Abort|WorkerHeartbeat",
}
"""What ops do besides computing, as a verb phrase → the ops, as a regular expression."""

_WITH_A_FILE = {
    "PrintV2": ("output_stream", rb"file:.*", "prints to a file"),
    "FixedUnigramCandidateSampler": ("vocab_file", rb".+", "reads a file"),
    "DecodeProtoV2": ("descriptor_source", rb"(?!local://|bytes://).+", "reads a file"),
    "EncodeProto": ("descriptor_source", rb"(?!local://|bytes://).+", "reads a file"),
}
"""Op → the attribute with which it accesses a file, the values that do so, and what it does."""

_READS_WHAT_IS_GIVEN = {
    "InitializeTableFromTextFile": (1, "reads a file of its own choice"),
    "InitializeTableFromTextFileV2": (1, "reads a file of its own choice"),
    "RestoreV2": (0, "reads a checkpoint of its own choice"),
    "Restore": (0, "reads a checkpoint of its own choice"),
    "RestoreSlice": (0, "reads a checkpoint of its own choice"),
}
"""Op → the input with its file's name, which in a SavedModel comes from the loader."""

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
"""Ops that pass their inputs to a function in the same order."""

_allowed: ContextVar[frozenset[str]] = ContextVar("_allowed", default=frozenset())


@contextlib.contextmanager
def allow_ops(*ops: str) -> Iterator[None]:
    """Allow ops that access files, the network or this process, within the block.

        with convert.allow_ops("ReadFile"):
            convert.run_tf("reads_pictures.pb", {"path:0": "picture.png"})

    Use it only if you trust the maker of the graph as much as the maker of a program.

    Raises:
        UnknownName: an op is not one that would be refused.
    """
    for op in ops:
        if not (_does(op) or op in _WITH_A_FILE or op in _READS_WHAT_IS_GIVEN):
            raise unknown_name("op that is refused", op, ("ReadFile", "WriteFile", "PrintV2"))
    token = _allowed.set(_allowed.get() | set(ops))
    try:
        yield
    finally:
        _allowed.reset(token)


@functools.cache
def _does(op: str) -> str:
    return next((does for does, ops in FAMILIES.items() if re.fullmatch(ops, op)), "")


def check_ops(
    graph_def: "GraphDef",
    title: str = "The graph",
    *,
    ends: Iterable[str] | None = None,
    given: Collection[str] = (),
    files: Collection[str] = (),
    functions: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> None:
    """Check that a graph only computes.

    Args:
        graph_def: a graph from any source.
        title: the graph's name at the beginning of a sentence.
        ends: the tensors that will be computed. Without them every node counts.
        given: the tensors that are fed.
        files: tensors with the name of a file that a loader gives (a vocabulary, a checkpoint's
            prefix). Tables and variables may be read from these files.
        functions: other functions that a loader may call → their arguments that are such files.

    Raises:
        GraphError: some nodes do more. The error names them and says how to allow them.
    """
    nodes = {node.name: node for node in graph_def.node}
    known = {each.signature.name: each for each in graph_def.library.function}
    needed = nodes.values() if ends is None else reached(nodes, ends, given)
    kept = _kept(nodes, {maker(each) for each in files})
    scopes: list[Scope] = [(needed, nodes, kept)]
    scopes += [_scope(known[name], functions[name]) for name in known.keys() & functions.keys()]
    _refuse(title, _found(scopes, known))


def _found(scopes: "list[Scope]", functions: "Mapping[str, FunctionDef]") -> "Found":
    """Yield the nodes of scopes, and of the functions that they call, with what they do.

    An argument of a function counts as a loader's file only if it is one in every call.
    """
    arguments: dict[str, set[str]] = {}
    while scopes:
        needed, nodes, files = scopes.pop()
        for node in needed:
            yield node, _reason(node, nodes, files)
            for name in callees(node, functions):
                named = _named(node, functions[name], nodes, files)
                kept = named & arguments.get(name, named)
                if arguments.get(name) != kept:
                    arguments[name] = kept
                    scopes.append(_scope(functions[name], kept))


def _scope(function: "FunctionDef", files: Iterable[str]) -> "Scope":
    return function.node_def, {node.name: node for node in function.node_def}, set(files)


def _named(node: "NodeDef", function: "FunctionDef", nodes: "Nodes", files: set[str]) -> set[str]:
    """Return the arguments of a function that get the name of a file from a node."""
    plain = node.op in (function.signature.name, *_CALLS)
    pairs = zip(function.signature.input_arg if plain else (), node.input, strict=False)
    return {argument.name for argument, source in pairs if _is_among(source, nodes, files)}


def check_import(graph_def: "GraphDef") -> None:
    """Check that the graph's import, which computes shapes from constants, accesses no file.

    Raises:
        GraphError: it would. The error names the nodes and says how to allow them.
    """
    for scope in (graph_def.node, *(each.node_def for each in graph_def.library.function)):
        if found := [(node, does) for node in scope if (does := _reason(node, {}, set()))]:
            nodes = {node.name: node for node in scope}
            _refuse("The graph", (each for each in found if _is_constant(each[0], nodes)))


def _is_constant(node: "NodeDef", nodes: "Nodes") -> bool:
    """Whether a node depends on constants alone, without a stateful op that prevents folding."""
    from tensorflow.python.framework import op_def_registry

    waiting, seen = [node.name], set[str]()
    while waiting:
        each = nodes.get(name := waiting.pop())
        if each is None or each.op.startswith("Placeholder"):
            return False  # an argument of the function, or an input
        described = op_def_registry.get(each.op)
        if described is not None and described.is_stateful:
            return False
        seen.add(name)
        sources = {maker(source) for source in each.input if not source.startswith("^")}
        waiting += sources - seen
    return True


def _reason(node: "NodeDef", nodes: "Nodes", files: set[str]) -> str:
    """Return what a node does besides computing, as a verb phrase, or ""."""
    if node.op in _allowed.get():
        return ""
    if node.op in _WITH_A_FILE:
        attribute, pattern, does = _WITH_A_FILE[node.op]
        # Reading a missing attribute would add it.
        value = node.attr[attribute].s if attribute in node.attr else b""
        return does if re.fullmatch(pattern, value, re.DOTALL) else ""
    if node.op in _READS_WHAT_IS_GIVEN:
        place, does = _READS_WHAT_IS_GIVEN[node.op]
        given = len(node.input) > place and _is_among(node.input[place], nodes, files)
        return "" if given else does
    return _does(node.op)


def _kept(nodes: "Nodes", files: set[str]) -> set[str]:
    """Return the files, and the variables that are assigned only files, as in TensorFlow 2."""
    assigned: dict[str, list[bool]] = {}
    for node in nodes.values():
        if node.op == "AssignVariableOp" and len(node.input) > 1:
            variable, value = map(maker, node.input[:2])
            assigned.setdefault(variable, []).append(value in files)
    return files | {variable for variable, given in assigned.items() if all(given)}


def _is_among(tensor: str, nodes: "Nodes", files: Collection[str]) -> bool:
    """Whether a tensor is the unchanged name of a loader's file."""
    name, seen = maker(tensor), set[str]()
    while name not in files and name not in seen and name in nodes and nodes[name].input:
        seen.add(name)
        if nodes[name].op not in ("Identity", "ReadVariableOp"):
            return False
        name = maker(nodes[name].input[0])
    return name in files


def _refuse(title: str, found: "Found") -> None:
    refused = {node.name: (node.op, does) for node, does in found if does}
    if not refused:
        return
    nodes = (f"{name[:100]!r} ({op}), which {does}" for name, (op, does) in refused.items())
    ops = ", ".join(f'"{op}"' for op in sorted({op for op, _ in refused.values()}))
    raise GraphError(
        f"{title} does more than compute: it has {listed(nodes, most=5, separator='; ')}. Leave "
        "these nodes out, or, if you trust its maker with your files, write "
        f"`with convert.allow_ops({ops}):` around the call."
    )
