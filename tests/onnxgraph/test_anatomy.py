from nbhelpers import onnxgraph


def test_the_tables_hold_what_the_file_holds(chain):
    parts = onnxgraph.anatomy(chain)
    assert list(parts.nodes["op"]) == ["Add", "Relu", "Reshape"]
    assert list(parts.nodes["name"]) == ["plus", "clip", "flat"]
    assert parts.initializers.set_index("name").loc["bias", "bytes"] == 12
    assert parts.graph.loc["node", "value"] == 3
    assert parts.model.loc["opset_import", "value"] == "ai.onnx 13"
    assert list(parts.outputs["shape"]) == ["batch × 6", "batch × 2 × 3"]
    assert len(parts.value_infos) == 0


def test_attributes_are_readable(graph):
    model = graph(
        """g (float[1, 1, 4, 4] x) => (float[1, 1, 2, 2] y) {
            y = MaxPool<auto_pad = "VALID", kernel_shape = [2, 2], strides = [2, 2]>(x)
        }"""
    )
    (row,) = onnxgraph.anatomy(model).nodes["attributes"]
    assert row == "auto_pad=VALID, kernel_shape=[2, 2], strides=[2, 2]"


def test_the_histogram_is_sorted_and_sees_subgraphs(graph):
    model = graph(
        """g (bool c, float[2] x) => (float[2] y) {
            a = Relu(x)
            y = If (c) <
                then_branch = t () => (float[2] p) { q = Relu(a) p = Relu(q) },
                else_branch = e () => (float[2] r) { r = Neg(a) }
            >
        }"""
    )
    assert list(onnxgraph.op_histogram(model).items()) == [("Relu", 3), ("If", 1), ("Neg", 1)]


def test_the_repr_is_the_outline(chain):
    text = repr(onnxgraph.anatomy(chain))
    assert "input   x: float32 batch × 2 × 3" in text
    assert "nodes   3 (Add 1, Relu 1, Reshape 1)" in text
    sizes = onnxgraph.weight_sizes(chain)["bytes"]
    assert f"weights {len(sizes)} initializers, {sizes.sum():,} bytes" in text


def test_arrows_leave_weights_out(chain):
    assert onnxgraph.arrows(chain) == [
        ("x", "Add plus", "x"),
        ("Add plus", "Relu clip", "sum"),
        ("Relu clip", "Reshape flat", "z"),
        ("Reshape flat", "y", ""),
        ("Relu clip", "z", ""),
    ]


def test_arrows_leave_out_what_is_not_there(graph):
    model = graph(
        """g (float[5, n, 2] x, float[1, 4, 2] w, float[1, 4, 1] r) => (float[1, n, 1] y)
        <float most = {1.0}> {
            [cell] , h = LSTM<hidden_size = 1>(x, w, r)
            [clip] y = Clip(h, , most)
        }"""
    )
    assert ("LSTM cell", "Clip clip", "h") in onnxgraph.arrows(model)
    assert all(tensor or end == "y" for _, end, tensor in onnxgraph.arrows(model))
