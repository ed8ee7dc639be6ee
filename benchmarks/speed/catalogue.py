"""The subjects of the measurements: networks, their input sizes, twins in keras.applications."""

from dataclasses import dataclass

BATCHES = (1, 8)
LEGACY = ("tf1.15", "tf1.13", "tf1.4")
ON_OLD_RUNTIMES = (
    "resnet18", "resnet50", "mobilenet_v2", "efficientnet_b0", "densenet121", "squeezenet",
    "vit", "bert",
)  # fmt: skip
"""The networks that are also measured on the old runtimes."""


@dataclass(frozen=True)
class Model:
    """A network: its input without the batch, and the twin in keras.applications, if it has one.

    `twin_differs` describes how the twin differs from the converted network.
    """

    shape: tuple[int, ...]
    twin: str = ""
    twin_differs: str = ""
    dtype: str = "float32"

    @property
    def image(self) -> bool:
        """Whether the input has channels first, so that it must be transposed for NHWC runtimes."""
        return len(self.shape) == 3


PHOTO = (3, 224, 224)

MODELS = {
    "resnet18": Model(PHOTO),
    "resnet50": Model(
        PHOTO,
        "ResNet50",
        "strides stand in its 1×1 convolutions (version 1), in ours in the 3×3 ones (version 1.5, "
        "5 % more multiplications); its convolutions have biases",
    ),
    "resnext50": Model(PHOTO),
    "densenet121": Model(PHOTO, "DenseNet121"),
    "vgg16": Model(PHOTO, "VGG16"),
    "inception_v3": Model((3, 299, 299), "InceptionV3", "its average pools leave the border out"),
    "mobilenet_v2": Model(PHOTO, "MobileNetV2"),
    "mobilenet_v3": Model(PHOTO, "MobileNetV3Small", "it scales the pixels first"),
    "efficientnet_b0": Model(PHOTO, "EfficientNetB0", "it scales and normalises the pixels first"),
    "convnext": Model(PHOTO, "ConvNeXtTiny", "it normalises the pixels first"),
    "shufflenet_v2": Model(PHOTO),
    "squeezenet": Model(PHOTO),
    "vit": Model(PHOTO),
    "bert": Model((64,), dtype="int64"),
    "unet": Model((3, 128, 128)),
    "detector": Model((3, 256, 256)),
}
