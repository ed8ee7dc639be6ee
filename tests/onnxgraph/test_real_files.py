"""Every verb on onnx's light models, which several exporters wrote, with parity."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from nbhelpers import onnxgraph

LIGHT = sorted((Path(onnx.__file__).parent / "backend" / "test" / "data" / "light").glob("*.onnx"))

MACS = {  # in millions, as torchvision states them for its own (AlexNet's layers are grouped here)
    "light_bvlc_alexnet": 655,
    "light_densenet121": 2834,
    "light_resnet50": 4089,
    "light_squeezenet": 349,
    "light_vgg19": 19632,
}
PARAMETERS = {
    # Running means and variances are weights here; Caffe scales and shifts in nodes of their own.
    "light_densenet121": 7_978_856 + 2 * 83_648,
    "light_resnet50": 25_557_032 + 53_120,
    "light_bvlc_alexnet": 60_965_224,
    "light_squeezenet": 1_235_496,
    "light_vgg19": 143_667_240,
}


@pytest.fixture(params=LIGHT, ids=lambda path: path.stem)
def file(request):
    model = onnxgraph.load(request.param)
    return request.param.stem, model


def test_every_verb_on_a_real_file(file):
    name, model = file
    was = model.SerializeToString(deterministic=True)
    relus = onnxgraph.find_nodes(model, op="Relu")
    first, middle = relus["node"][0], relus["outputs"][len(relus) // 2]
    last = model.graph.node[-1].output[0]
    source = onnxgraph.inputs(model)[0].name
    shape = onnxgraph.outputs(model)[0].shape

    # A chain of edits that cancel each other, proven at the end.
    step = onnxgraph.insert_after(model, source, "Neg", name="turn").model
    step = onnxgraph.insert_after(step, "turn", "Neg", name="turn_back").model
    step = onnxgraph.insert_before(step, middle, "Identity", name="pass").model
    step = onnxgraph.insert_after(step, last, "Mul", others=[np.float32(2)], name="twice").model
    step = onnxgraph.replace(step, "twice", "Identity", inputs=[f"{last}_before_Mul"]).model
    step = onnxgraph.replace(step, first, "LeakyRelu", attributes={"alpha": 0.5}).model
    step = onnxgraph.set_attributes(step, first, alpha=0.0).model
    step = onnxgraph.rename_nodes(step, {first: "the first"}).model
    step = onnxgraph.rename(step, {source: "pixels", middle: "middle"}).model
    step = onnxgraph.set_weight(step, *_any_weight(step)).model
    step = onnxgraph.set_inputs(step, [_as(onnxgraph.inputs(step)[0], "float64")]).model
    step = onnxgraph.add_outputs(step, "middle").model
    onnxgraph.same(model, step, renamed={source: "pixels", middle: "middle"})
    back = onnxgraph.remove(step, ["turn", "turn_back", "pass"])
    assert len(back.changes) == 3

    # Cut in two behind the stem, joined again.
    stem = relus["outputs"][0]
    head = onnxgraph.cut(step, outputs=stem).model
    tail = onnxgraph.cut(step, inputs=stem, outputs=last).model
    whole = onnxgraph.join(head, tail, {stem: stem}).model
    assert onnxgraph.outputs(whole)[0].shape == shape
    onnxgraph.same(model, whole, renamed={source: "pixels"}, outputs=[last])
    assert model.SerializeToString(deterministic=True) == was

    cost = onnxgraph.cost(model)
    if name in MACS:
        assert cost.macs / 1e6 == pytest.approx(MACS[name], rel=0.002)
    if name in PARAMETERS:
        assert cost.parameters == PARAMETERS[name]


def test_the_sample_goes_through_the_verbs(tmp_path):
    pytest.importorskip("torch", reason="the kernel convert has no torch to export with")
    from nbhelpers.train import export_onnx, samples

    module = samples.multitask_resnet18()
    path = tmp_path / "sample.onnx"
    export_onnx(module, module.input_specs, path, output_names=module.output_names)
    model = onnxgraph.load(path)
    size = module.recipe.size
    relus = onnxgraph.find_nodes(model, op="Relu")
    middle = relus["outputs"][2]
    head = onnxgraph.cut(model, outputs=middle).proven()
    tail = onnxgraph.cut(model, inputs=middle).proven()
    assert head.reports[1].ok
    assert tail.reports[1].ok
    whole = onnxgraph.join(head.model, tail.model, {middle: middle}).model
    reports = onnxgraph.same(model, whole)
    assert [report.title for report in reports] == ["batch 1", "batch 3"]
    renamed = onnxgraph.rename(whole, {"images": "pixels", "digit": "label"}).proven()
    bytes_ = onnxgraph.set_inputs(renamed.model, f"pixels:uint8:n,3,{size},{size}").proven()
    assert [spec.shape[0] for spec in onnxgraph.outputs(bytes_.model)] == ["n", "n"]
    exposed = onnxgraph.add_outputs(bytes_.model, middle).proven()
    assert exposed.reports[1].ok
    # A head of its own classes: another weight, and the same graph around it.
    (last,) = onnxgraph.find_nodes(model, tensor="digit")["inputs"]
    weight, bias = last.split(", ")[1:]
    values = onnx.numpy_helper.to_array(
        next(each for each in model.graph.initializer if each.name == bias)
    )
    moved = onnxgraph.set_weight(model, bias, values + np.float32(1)).model
    images = np.zeros((2, 3, size, size), np.float32)
    old, new = (onnxgraph.run_onnx(each, {"images": images}) for each in (model, moved))
    np.testing.assert_allclose(new["digit"], old["digit"] + 1, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(new["pair"], old["pair"])
    assert weight in set(onnxgraph.weight_sizes(model)["name"])
    assert onnxgraph.cost(model).parameters == onnxgraph.weight_sizes(model)["values"].sum()


def _any_weight(model):
    """Return a weight that is a shape, and its own value."""
    weight = model.graph.initializer[0]
    return weight.name, onnx.numpy_helper.to_array(weight)


def _as(spec, dtype):
    return type(spec)(spec.name, dtype, spec.shape)
