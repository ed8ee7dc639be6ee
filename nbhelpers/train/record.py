"""Record golden cases: inputs, and what torch gives for them. Every later step is checked against
these.
"""

from collections.abc import Sequence

from PIL import Image
from torch import nn

from nbhelpers.golden import Arrays, Case
from nbhelpers.onnxgraph import examples
from nbhelpers.progress import stage
from nbhelpers.spec import TensorSpec
from nbhelpers.train.forward import run_torch
from nbhelpers.train.picture import fitting, photograph


@stage("recording the golden cases")
def record_golden(
    module: nn.Module,
    specs: Sequence[TensorSpec],
    output_names: Sequence[str],
    *,
    batches: Sequence[int] = (1, 3),
    evaluation: tuple[Arrays, Arrays] | None = None,
    seed: int = 0,
) -> tuple[Case, ...]:
    """Run the module in eval mode on seeded inputs, on held-out samples and on a photograph.

    Args:
        module: what is recorded.
        specs: its inputs. Where all have the same fixed first dim, it is taken for a batch and
            recorded at every size of `batches` all the same: torch takes any, and a batch made
            dynamic later must give just that. Other fixed dims stay.
        output_names: names of what `forward` returns, in order.
        batches: sizes of the seeded cases, named `batch1`, `batch3` …; where no batch is free they
            differ in their values only.
        evaluation: inputs and true labels by name, recorded as `held_out`.
        seed: of the random inputs.

    Raises:
        ModelError: the module does not run on an input, or returns another number of tensors.
    """
    specs = tuple(specs)
    free = _any_batch(specs)
    # Another seed for each batch, so that no case repeats the rows of another.
    inputs = {
        f"batch{batch}": examples.feeds(free, batch=batch, seed=seed + batch) for batch in batches
    }
    labels: Arrays = {}
    if evaluation is not None:
        inputs["held_out"], labels = dict(evaluation[0]), evaluation[1]
    steps = fitting(specs)
    if steps is not None:
        with Image.open(photograph()) as image:
            inputs["picture"] = {specs[0].name: steps(image).numpy()}
    return tuple(
        Case(
            name,
            feeds,
            run_torch(module, feeds, output_names),
            labels if name == "held_out" else {},
        )
        for name, feeds in inputs.items()
    )


def _any_batch(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    first = {spec.shape[0] if spec.shape else None for spec in specs}
    if len(first) != 1 or not isinstance(first.pop(), int):
        return specs
    return tuple(TensorSpec(spec.name, spec.dtype, ("batch", *spec.shape[1:])) for spec in specs)
