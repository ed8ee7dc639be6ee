"""onnx2tf as a whole: names, order, proof before writing, refusals, what is on disk afterwards."""

import onnx
import pytest

from graphcore.errors import ConversionError, GraphError, ParityError, UnknownName
from graphcore.parity import compare
from nbhelpers import convert, onnxgraph
from tests.convert.models import parse, seeded
from tfgraph import pipeline
from tfgraph.building.build import build, prepare
from tfgraph.graphs.order import in_order
from tfgraph.names.naming import Names, legal
from tfgraph.optimising import optimise


def test_names_and_order_are_those_of_onnx(network):
    result = convert.onnx2tf(network, None)
    assert list(result.inputs.items()) == [("images", "images:0")]
    assert list(result.outputs.items()) == [("scores", "scores:0"), ("aux/out:0", "aux/out_0:0")]
    assert list(convert.run_conversion(result, {"images": seeded(2, 3, 9, 11)})) == list(
        result.outputs
    )


def test_the_batch_stays_free_and_every_size_agrees(network):
    result = convert.onnx2tf(network, None)
    for batch in (1, 2, 5):
        feeds = {"images": seeded(batch, 3, 9, 11, seed=batch)}
        compare(onnxgraph.run_onnx(network, feeds), convert.run_conversion(result, feeds)).check()


def test_a_convolutional_graph_keeps_two_transposes_at_most(network):
    steps = {step.name: step for step in convert.onnx2tf(network, None).steps}
    assert steps["retarget"].transposes <= 2
    assert steps["optimise"].nodes < steps["build"].nodes


def test_inner_tensors_are_found_under_their_onnx_names(network):
    built = build(prepare(network))
    assert built.tensors["active"] == "active:0"
    assert built.tensors["joined"] == "joined:0"


def test_the_same_model_gives_the_same_bytes(network, tmp_path):
    for name in ("a", "b"):
        convert.onnx2tf(network, tmp_path / f"{name}.pb", target="tf1.4")
    assert (tmp_path / "a.pb").read_bytes() == (tmp_path / "b.pb").read_bytes()


def test_a_file_is_converted_as_its_model_is_and_none_of_it_is_kept(tmp_path):
    weights = {"w": seeded(300, 400), "v": seeded(400, 5)}
    model = parse(
        "g (float[N, 300] x) => (float[N, 5] y) { a = MatMul(x, w) y = MatMul(a, v) }", **weights
    )
    path = onnxgraph.save(model, tmp_path / "m.onnx")
    made = convert.onnx2tf(path, None)
    path.write_bytes(b"")
    assert made.proven
    assert made.graph_def == convert.onnx2tf(model, None).graph_def


@pytest.mark.parametrize("moment", ["prepare", "verified"])
def test_a_file_that_is_written_to_meanwhile_is_refused(moment, tmp_path, monkeypatch):
    model = parse("g (float[N, 300] x) => (float[N, 400] y) { y = MatMul(x, w) }")
    model.graph.initializer.append(onnx.numpy_helper.from_array(seeded(300, 400), "w"))
    path, real = onnxgraph.save(model, tmp_path / "m.onnx"), getattr(pipeline, moment)

    def disturbed(*arguments, **options):
        onnxgraph.save(model, path)
        return real(*arguments, **options)

    monkeypatch.setattr(pipeline, moment, disturbed)
    with pytest.raises((ConversionError, GraphError), match=r"m\.onnx was changed or removed"):
        convert.onnx2tf(path, tmp_path / "m.pb")
    assert [each.name for each in tmp_path.iterdir()] == ["m.onnx"]


def test_the_order_of_nodes_does_not_hang_on_chance(network):
    graph_def = convert.onnx2tf(network, None).graph_def
    shuffled = type(graph_def)(versions=graph_def.versions)
    shuffled.node.extend(reversed(graph_def.node))
    assert in_order(shuffled) == graph_def
    seen = set()
    for node in graph_def.node:
        assert {source.partition(":")[0].removeprefix("^") for source in node.input} <= seen
        seen.add(node.name)


def test_the_repr_says_what_a_person_wants_to_know(network, tmp_path):
    text = repr(convert.onnx2tf(network, tmp_path / "net.pb", target="tf1.4"))
    for words in (
        "proven",
        "images:0",
        "scores:0",
        "AddV2 → Add",
        "batch 1: ok",
        "batch 3: ok",
        "net.pb",
    ):
        assert words in text


def test_without_the_comparison_it_says_unproven(network):
    result = convert.onnx2tf(network, None, verify=False)
    assert not result.proven
    assert "UNPROVEN" in repr(result)


def test_a_graph_that_differs_is_not_written_and_the_first_tensor_is_named(
    network, tmp_path, monkeypatch
):
    monkeypatch.setattr(pipeline, "prepare", _off_by_one)
    with pytest.raises(
        ParityError, match=r"first ONNX tensor that differs is 'wide'.*Nothing was written"
    ):
        convert.onnx2tf(network, tmp_path / "net.pb")
    assert not list(tmp_path.iterdir())


def _off_by_one(model):
    """Pad the second convolution at one side only: the shape is right, the values are not."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.name == "body":
            for attribute in node.attribute:
                if attribute.name == "pads":
                    attribute.ints[:] = [2, 2, 0, 0]
    return copy


def test_an_optimiser_that_breaks_the_graph_is_noticed(network, monkeypatch):
    def broken(graph, outputs):
        result = optimise.optimise(graph, outputs)
        next(node for node in result.skeleton.node if node.op == "Relu").op = "Identity"
        return result

    monkeypatch.setattr(pipeline, "optimise", broken)
    with pytest.raises(ParityError, match="first ONNX tensor that differs is 'active'"):
        convert.onnx2tf(network, None)


def test_an_opset_as_exporters_write_it_today_is_taken():
    model = parse("g (float[N] x) => (float[N] y) { y = Relu(x) }", opset=18)
    assert convert.onnx2tf(model, None).proven


def test_what_the_target_lacks_is_refused_with_the_onnx_node():
    model = parse("g (float[N, 3] x) => (uint32[N, 3] y) { [outer] y = Cast<to = 12>(x) }")
    with pytest.raises(
        ConversionError, match=r"'outer' \(Cast\) cannot be written for tf1.4: .*no DT_UINT32"
    ):
        convert.onnx2tf(model, None, target="tf1.4")
    assert convert.onnx2tf(model, None, target="tf1.13").proven


def test_a_wrong_target_is_refused_before_any_work(tmp_path):
    with pytest.raises(UnknownName, match=r"no target named 'tf1.5'.*'tf1.15'"):
        convert.onnx2tf(tmp_path / "not even there.onnx", None, target="tf1.5")


def test_a_truncated_file_is_refused_and_nothing_is_written(network, tmp_path):
    whole = network.SerializeToString()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GraphError, match="cut"):
        convert.onnx2tf(tmp_path / "cut.onnx", tmp_path / "out" / "net.pb")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    [
        "0",
        "input.1",
        "in/put",
        "self",
        "/x",
        "a:0",
        "x y",
        "<b>",
        "naïve",
        "n" * 3000,
        "_under",
        "a//b/",
    ],
)
def test_any_input_name_is_converted_and_found_again(name):
    model = parse("g (float[N, 2] x) => (float[N, 2] y) { y = Relu(x) }")
    model.graph.input[0].name = model.graph.node[0].input[0] = name
    result = convert.onnx2tf(model, None, target="tf1.4")
    assert list(result.inputs) == [name]
    assert result.proven


def test_names_that_become_equal_are_kept_apart():
    names = Names()
    made = [names.legal(name) for name in ("/x", "x", "X", "x ", "x_")]
    assert len({each.lower() for each in made}) == 5
    assert legal("/layer1/layer1.0/conv1/Conv_output_0") == "layer1/layer1.0/conv1/Conv_output_0"


def test_an_output_that_is_an_input_or_a_weight_is_converted():
    model = parse(
        "g (float[N, 2] x) => (float[N, 2] y, float[2] w) { y = Identity(x) }", w=seeded(2)
    )
    model.graph.output[1].name = "w"
    result = convert.onnx2tf(model, None)
    assert result.proven
    onnx.checker.check_model(model)
