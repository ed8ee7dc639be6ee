"""Find a model: the function that builds it, its weights, and the names of its inputs and outputs.

A module may give the names itself (see the protocol in `nbhelpers.train.samples`), or the caller
gives them.
"""

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from graphcore.errors import ModelError, unknown_name
from graphcore.spec import TensorSpec, parse_checkpoint, parse_sizes, parse_specs
from nbhelpers.places import CHECKOUT
from torchgraph.checkpoints.loading import load_checkpoint
from torchgraph.exporting.arguments import Given
from torchgraph.exporting.sizes import first_run
from torchgraph.modules.forward import check_count
from torchgraph.modules.structure import output_names


@dataclass(frozen=True)
class ModelSource:
    """A module in eval mode, the specs of its inputs, the names of its outputs, where it came from,
    and the sizes to run it at instead of the usual ones.
    """

    module: nn.Module = field(repr=False)
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    model: str
    weights: str
    sizes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """The number of trainable values."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    def __repr__(self) -> str:
        """Return the interface and the origin, one fact a line."""
        return "\n".join(
            [
                f"{type(self.module).__name__} from {self.model}",
                f"  weights  {self.weights} ({self.parameters:,} parameters)",
                f"  inputs   {'  '.join(map(str, self.inputs))}",
                f"  outputs  {'  '.join(self.outputs)}",
            ]
        )


def load_model(
    model: str = "nbhelpers.train.samples:multitask_resnet18",
    *,
    checkpoint: str = "",
    inputs: str = "",
    outputs: str = "",
    sizes: str = "",
    trained: bool = True,
) -> ModelSource:
    """Build a model, give it its weights and return it in eval mode.

    Args:
        model: `package.module:factory`. The factory is called without arguments.
        checkpoint: the path of the weights. If the file holds several sets that fit, `path:key`
            chooses one. If it is empty, the module trains itself if it can, or stays as built.
        inputs: specs such as `"images:float32:batch,3,224,224"`, if the module does not give them.
        outputs: names separated by spaces or commas, if the module does not give them.
        sizes: sizes of symbols such as `"time=48,96"`, if the module accepts few.
        trained: whether a module without a checkpoint may train itself. If not, everything is
            checked, and the weights stay as built.

    Raises:
        ModelError: the factory, the checkpoint or the names cannot be used. The message says what
            to write.
    """
    module = _build(model)
    specs = parse_specs(inputs) if inputs.strip() else tuple(getattr(module, "input_specs", ()))
    if not specs:
        raise ModelError(
            f"The inputs of {model} are not known. Give INPUTS as name:dtype:dims for each "
            f"argument, such as 'images:float32:batch,3,224,224', or give {type(module).__name__} "
            "an attribute input_specs."
        )
    weights = _weights(module, checkpoint, trained)
    module.eval()
    names = tuple(outputs.replace(",", " ").split()) or tuple(getattr(module, "output_names", ()))
    wanted = parse_sizes(sizes)
    found = first_run(module, [Given(spec) for spec in specs], sizes=wanted, batch=1).outputs
    if names:
        check_count(module, found, names)
    return ModelSource(module, specs, names or tuple(output_names(found)), model, weights, wanted)


def _weights(module: nn.Module, checkpoint: str, trained: bool) -> str:
    if checkpoint:
        path, key = parse_checkpoint(checkpoint)
        return repr(load_checkpoint(module, path, key=key))
    if trained and hasattr(module, "train_in_place"):
        module.train_in_place()
        return "trained in place"
    return "as the factory made them"


def _build(model: str) -> nn.Module:
    where, _, name = model.partition(":")
    if not where or not name:
        raise ModelError(f"MODEL is written package.module:factory, but this is {model!r}.")
    with _importable():
        factory = _factory(where, name, model)
        module = factory()
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"{model} must return a torch.nn.Module, but it returned a {type(module).__name__}."
        )
    return module


def _factory(where: str, name: str, model: str) -> Callable[[], object]:
    try:
        package = importlib.import_module(where)
    except (ImportError, SyntaxError) as error:
        raise ModelError(
            f"{where} (of MODEL {model!r}) cannot be imported: {error}. Put the file beside the "
            "folder nbhelpers, or name its folder: PYTHONPATH=folder make handoff MODEL=…"
        ) from error
    if not hasattr(package, name):
        known = [each for each in vars(package) if callable(vars(package)[each])]
        raise ModelError(str(unknown_name(f"function in {where}", name, known)))
    factory = getattr(package, name)
    if not callable(factory):
        raise ModelError(
            f"{model} must be a function or a class that builds the model, but it is a "
            f"{type(factory).__name__}. Write a function that returns it."
        )
    return factory


@contextlib.contextmanager
def _importable() -> Iterator[None]:
    """Let modules of the current folder and of the checkout be imported, for the time of the
    block."""
    before = list(sys.path)
    sys.path[:0] = [str(Path.cwd()), str(CHECKOUT)]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
