"""The clients: third-party runtimes, what each reads, and what it needs of a model.

They are not targets. An artefact promises to run on TensorFlow. If other runtimes read it too, that
is a second opinion on it, and useful if you serve with something else.
"""

from dataclasses import dataclass
from pathlib import Path

FORMS = ("frozen", "savedmodel", "onnx")
"""The kinds of artefacts that clients read."""


@dataclass(frozen=True)
class Client:
    """A runtime, the kinds of artefacts it reads, and how it is run.

    Args:
        name: its usual name.
        reads: kinds of artefacts, from `FORMS`.
        script: the script that runs it (see `workers`).
        converter: the script that first makes a file for it, run by this kernel, or "" if none is
            needed.
        separate: whether it is installed in the environment `clients` instead of this kernel's.
    """

    name: str
    reads: tuple[str, ...]
    script: Path
    converter: str = ""
    separate: bool = True


def _script(name: str) -> Path:
    return Path(__file__).with_name("workers") / f"{name}.py"


CLIENTS = (
    Client("TensorFlow C API", ("frozen", "savedmodel"), _script("c_api"), separate=False),
    Client("OpenVINO", FORMS, _script("openvino")),
    Client("LiteRT", ("savedmodel",), _script("litert"), "to_tflite"),
    Client("tf2onnx → onnxruntime", ("frozen",), _script("onnxruntime"), "to_onnx", separate=False),
    Client("OpenCV DNN", ("frozen", "onnx"), _script("opencv")),
    Client("MNN", ("frozen", "onnx"), _script("mnn")),
    Client("ncnn", ("onnx",), _script("ncnn")),
    Client("onnxruntime", ("onnx",), _script("onnxruntime"), separate=False),
)

NEEDS = (
    {
        "consumer": "onnxruntime",
        "opset": "7 to 26",
        "batch": "dynamic",
        "numbers": "all of ONNX",
        "command": 'onnxruntime.InferenceSession("prepared.onnx")',
        "tried here": "yes",
    },
    {
        "consumer": "OpenVINO",
        "opset": "7 to 28",
        "batch": "dynamic",
        "numbers": "float32 only if INFERENCE_PRECISION_HINT says f32, otherwise possibly bf16",
        "command": 'openvino.Core().compile_model("prepared.onnx", "CPU")',
        "tried here": "yes",
    },
    {
        "consumer": "OpenCV DNN",
        "opset": "7 to 28",
        "batch": "as fed",
        "numbers": "float32, and int64 for indices",
        "command": 'cv2.dnn.readNetFromONNX("prepared.onnx")',
        "tried here": "yes",
    },
    {
        "consumer": "MNN",
        "opset": "7 to 28",
        "batch": "dynamic",
        "numbers": "float32 and int32 (int64 is cut to int32)",
        "command": "mnnconvert -f ONNX --modelFile prepared.onnx --MNNModel model.mnn --bizCode x",
        "tried here": "yes, without this command, which calls home",
    },
    {
        "consumer": "ncnn",
        "opset": "7 to 26",
        "batch": "dynamic if the converter gets two sizes",
        "numbers": "float32, with fp16 weights unless fp16=0 (inputs become in0, in1, …)",
        "command": "pnnx prepared.onnx inputshape=[1,3,32,32] inputshape2=[2,3,32,32] fp16=0",
        "tried here": "yes",
    },
    {
        "consumer": "TensorRT",
        "opset": "9 to 25",
        "batch": "dynamic with a profile of the smallest, usual and largest size",
        "numbers": "TF32 for float32 unless --noTF32, int64 from version 10 on",
        "command": "trtexec --onnx=prepared.onnx --minShapes=… --maxShapes=… --noTF32",
        "tried here": "no: it needs an NVIDIA GPU",
    },
)
"""What each consumer of `prepared.onnx` needs. The opsets 7 to 28 were tried one by one, with a
plain convolutional network at two batch sizes. Those of TensorRT 11 are from its documentation.
"""
