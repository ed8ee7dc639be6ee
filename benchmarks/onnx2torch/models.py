"""The models for every ONNX → PyTorch conversion: `model(name)` returns an ONNX model.

onnx's wheel has nine real graphs without their weights (all values are 0.02). They get seeded
weights here. The workbook exports the other architectures, with seeded weights and calibrated
norms.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from graphcore.spec import TensorSpec
from nbhelpers import onnxgraph
from nbhelpers.train import export_onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.architectures import networks as detectors
from benchmarks.onnx2torch import networks

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

FILES = {
    "AlexNet": "light_bvlc_alexnet",
    "ZFNet": "light_zfnet512",
    "VGG-19": "light_vgg19",
    "Inception v1": "light_inception_v1",
    "Inception v2": "light_inception_v2",
    "ResNet-50 v1": "light_resnet50",
    "SqueezeNet 1.1": "light_squeezenet",
    "ShuffleNet v1": "light_shufflenet",
    "DenseNet-121": "light_densenet121",
}

EXPORTS = {
    "GoogLeNet": (networks.GoogLeNet, 97),
    "ResNet-50 v2": (networks.ResNet50V2, 97),
    "ShuffleNet v2": (networks.ShuffleNetV2, 97),
    "MobileNetV2": (networks.MobileNetV2, 97),
    "R-CNN ILSVRC13": (networks.RCNN, 227),
    "YOLOv5-class detector": (detectors.Detector, 96),
}
"""Architecture, and the size of its images."""

NAMES = [*FILES, *EXPORTS]


def model(name):
    """Return an ONNX model with a dynamic batch and meaningful outputs."""
    if name in FILES:
        return onnxgraph.make_batch_dynamic(filled(FILES[name])).model
    factory, size = EXPORTS[name]
    torch.manual_seed(0)
    module = calibrated(factory(), size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(module, [TensorSpec("images", "float32", ("batch", 3, size, size))], path)
        return onnxgraph.load(path)


def calibrated(module, size):
    """Return the module in eval mode after its batch norms have processed seeded images."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.5
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    with torch.no_grad():
        for _ in range(2):
            module(torch.randn(2, 3, size, size))
    return module.eval()


def filled(name):
    """Return one of onnx's light files with seeded weights in place of its constant ones."""
    found = onnx.load(LIGHT / f"{name}.onnx")
    graph, random = found.graph, np.random.default_rng(0)
    shapes = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    readers = {name: node for node in graph.node for name in node.input}
    kept = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        value = _seeded(shapes[node.input[0]], node.output[0], readers, random)
        graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(kept)
    fed = [value for value in graph.input if value.name not in shapes]
    fed = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in fed]
    del graph.input[:]
    graph.input.extend(fed)
    found.ir_version = helper.find_min_ir_version_for(found.opset_import)
    return _tempered(onnxgraph.check(found))


def _seeded(shape, name, readers, random):
    """Return seeded values for a weight by its shape and place.

    They have He's scale, or are about 1 or about 0.
    """
    if len(shape) > 1:
        fan_in = np.prod(shape[1:])
        return (random.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)
    node, output = readers[name], name
    while node.op_type == "Unsqueeze":
        output, node = node.output[0], readers[node.output[0]]
    place = list(node.input).index(output)
    scales = node.op_type == "Mul" or (node.op_type == "BatchNormalization" and place in (1, 4))
    if scales:
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    return (random.standard_normal(shape) * 0.1).astype(np.float32)


def _tempered(found):
    """Return the model with its last layer scaled, so that no class dominates the softmax."""
    weights = {each.name: each for each in found.graph.initializer}
    last = [node for node in found.graph.node if node.op_type in ("Conv", "Gemm")][-1]
    (fed,) = onnxgraph.inputs(found)
    seen = onnxgraph.run_onnx(found, {fed.name: fed.random(1)}, fetch=last.output)
    for name in last.input[1:]:
        made = [node for node in found.graph.node if name in node.output]  # reshapes the weight
        name = made[0].input[0] if made else name
        value = numpy_helper.to_array(weights[name]) / seen[last.output[0]].std()
        weights[name].CopyFrom(numpy_helper.from_array(value, name))
    return found
