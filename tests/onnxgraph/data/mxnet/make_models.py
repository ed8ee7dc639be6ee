"""Export networks of MXNet's own Gluon zoo, narrowed, and record what MXNet computes.

Run it once with each of the two environments that README.md describes. It writes the files to the
current folder. Weights are seeded. Gammas and variances are around one, as after training.
"""

import mxnet
import numpy
from mxnet.gluon.model_zoo.vision import densenet, resnet, vgg

try:
    from mxnet import onnx as exporter
except ImportError:
    from mxnet.contrib import onnx as exporter

BATCHES = (1, 2, 5)


def resnet18_v2():
    widths = [4, 4, 8, 12, 16]
    return resnet.ResNetV2(resnet.BasicBlockV2, [2, 2, 2, 2], widths, classes=10, thumbnail=True)


def vgg11_bn():
    """Build a VGG from Gluon's own layers, with narrower Dense layers."""
    network = vgg.VGG([1, 1, 2, 2, 2], [4, 4, 8, 8, 8], classes=10, batch_norm=True)
    for layer in network.features:
        if isinstance(layer, mxnet.gluon.nn.Dense):
            layer._units = 16
            layer.weight._shape = (16, 0)
            layer.bias._shape = (16,)
    network.output.weight._shape = (10, 0)
    return network


def densenet_narrow():
    return densenet.DenseNet(8, 4, [2, 2], dropout=0.2, classes=10)


MADE = {
    "1.9.1": {"resnet18_v2": (resnet18_v2, 33), "densenet": (densenet_narrow, 61)},
    "1.4.1": {"resnet18_v2": (resnet18_v2, 33), "vgg11_bn": (vgg11_bn, 67)},
}


def fill(network, random):
    """Give every parameter values, including the gammas that MXNet does not use (fix_gamma)."""
    for name, parameter in network.collect_params().items():
        shape = parameter.shape
        if name.endswith(("gamma", "running_var")):
            values = random.uniform(0.5, 1.5, shape)
        elif name.endswith(("beta", "bias", "running_mean")):
            values = random.normal(0, 0.2, shape)
        else:
            values = random.normal(0, numpy.sqrt(2 / numpy.prod(shape[1:])), shape)
        parameter.set_data(mxnet.nd.array(values.astype(numpy.float32)))


def record(name, network, size):
    random = numpy.random.RandomState(0)
    network.initialize()
    network(mxnet.nd.zeros((1, 3, size, size)))
    fill(network, random)
    network.hybridize()
    arrays = {}
    for batch in BATCHES:
        x = random.normal(0, 32, (batch, 3, size, size)).clip(-127, 127).astype(numpy.int8)
        arrays["input_%d" % batch] = x
        arrays["output_%d" % batch] = network(
            mxnet.nd.array(x.astype(numpy.float32) / 32)
        ).asnumpy()
    network.export(name)
    files = name + "-symbol.json", name + "-0000.params"
    exporter.export_model(*files, [(1, 3, size, size)], numpy.float32, name + ".onnx")
    numpy.savez_compressed(name + ".npz", **arrays)


for title, (build, pixels) in MADE[mxnet.__version__].items():
    record("%s_mxnet%s" % (title, mxnet.__version__.replace(".", "")), build(), pixels)
