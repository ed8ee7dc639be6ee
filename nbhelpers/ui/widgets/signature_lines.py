"""The tensors of a signature, one line each: whether to include it, and the client's name for
it."""

import ipywidgets

from graphcore.errors import GraphError


class Line:
    """One tensor of a signature: whether it is included, and the client's name for it."""

    def __init__(self, tensor: str, client: str) -> None:
        """Make the widgets of the line."""
        self.tensor = tensor
        self.chosen = ipywidgets.Checkbox(
            True, description=tensor, indent=False, layout=ipywidgets.Layout(width="340px")
        )
        self.client = ipywidgets.Text(
            client, description="client says", layout=ipywidgets.Layout(width="300px")
        )
        self.box = ipywidgets.HBox([self.chosen, self.client])


def named_tensors(side: str, lines: list[Line]) -> dict[str, str]:
    """Return client's name → tensor for the included lines.

    Raises:
        GraphError: a name is missing or given twice, or there is no output.
    """
    names: dict[str, str] = {}
    for line in lines:
        client = line.client.value.strip()
        if not line.chosen.value:
            continue
        if not client:
            raise GraphError(f"The {side} {line.tensor} has no name for the client. Give it one.")
        if client in names:
            raise GraphError(
                f"Two {side}s are called {client!r}: {names[client]} and {line.tensor}. Give each "
                "its own name."
            )
        names[client] = line.tensor
    if side == "output" and not names:
        raise GraphError("The signature has no outputs. Choose at least one.")
    return names
