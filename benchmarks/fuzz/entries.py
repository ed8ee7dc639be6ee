"""The entry points to try: every public verb that takes a file which may be damaged."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A verb, the format of its file, and how often it is drawn.

    The verb runs in `environment`. The module `module` of this folder calls it.
    """

    name: str
    format: str
    environment: str
    module: str
    weight: int = 4


_ONNX = """
    load check save anatomy arrows op_histogram opset inputs outputs tensor_names weight_sizes
    find_nodes neighbours excerpt cost infer_shapes rename rename_nodes set_attributes set_weight
    set_inputs insert_after insert_before remove replace add_outputs cut join fix_dims free_dims
    make_batch_dynamic lower_opset run_onnx same check_cases compare_layers
    remove_dropout remove_shape_casts fold_reshapes repair_missing_flatten repair_spatial
    repair_fix_gamma repair_count_include_pad take_images take_channels_last
"""

_SELDOM = {"simplify": 1, "import_onnx": 2, "preflight_import": 2}

ENTRIES = (
    *(Entry(name, "onnx", "th", "calls_onnx") for name in _ONNX.split()),
    *(Entry(name, "onnx", "th", "calls_torch", w) for name, w in _SELDOM.items()),
    Entry("preflight", "onnx", "tf", "calls_tf"),
    Entry("onnx2tf", "onnx", "tf", "calls_tf", 8),
    Entry("load_graph_def", "pb", "tf", "calls_tf", 3),
    Entry("open_graph", "pb", "tf", "calls_tf", 6),
    Entry("open_graph (text)", "pbtxt", "tf", "calls_tf", 3),
    Entry("run_tf", "pb", "tf", "calls_tf", 8),
    Entry("run_tf (text)", "pbtxt", "tf", "calls_tf", 2),
    Entry("build_saved_model", "pb", "tf", "calls_tf", 4),
    Entry("tf2onnx", "pb", "tf", "calls_tf", 6),
    Entry("read_saved_model", "saved_model", "tf", "calls_tf", 4),
    Entry("open_graph (SavedModel)", "saved_model", "tf", "calls_tf", 4),
    Entry("call_saved_model", "saved_model", "tf", "calls_tf", 6),
    Entry("tf2onnx (SavedModel)", "saved_model", "tf", "calls_tf", 4),
    Entry("open_graph (checkpoint)", "checkpoint", "tf", "calls_tf", 4),
    Entry("tf2onnx (checkpoint)", "checkpoint", "tf", "calls_tf", 6),
    Entry("traced (names.json)", "names", "tf", "calls_tf", 3),
    Entry("load_golden", "npz", "th", "calls_files", 4),
    Entry("use_examples", "npz", "th", "calls_files", 2),
    Entry("Handoff", "record", "th", "calls_files", 6),
    Entry("report", "record", "th", "calls_files", 4),
    Entry("verify.py (SHA256SUMS)", "sums", "tf", "calls_files", 2),
    Entry("load_checkpoint", "torch", "th", "calls_torch", 8),
)
"""Entry points with a higher weight are drawn more often."""

PLANTED = tuple(
    Entry(f"planted {verdict}", "onnx", "th", "calls_planted", 1)
    for verdict in ("foreign", "long", "wrong", "dead", "memory", "hang")
)
"""Planted faults, which the harness must detect."""
