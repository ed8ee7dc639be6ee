"""The tensors of a signature, a line each: whether it takes part, and what the client says."""

import ipywidgets

from graphcore.errors import GraphError


class Line:
    """One tensor of a signature: whether it takes part, and the client's name for it."""

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
    """Return client's name → tensor of the lines that take part.

    Raises:
        GraphError: a name is missing or given twice, or there is no output.
    """
    names: dict[str, str] = {}
    for line in lines:
        client = line.client.value.strip()
        if not line.chosen.value:
            continue
        if not client:
            raise GraphError(f"The {side} {line.tensor} has no name for the client; give it one.")
        if client in names:
            raise GraphError(
                f"Two {side}s are called {client!r}, {names[client]} and {line.tensor}; give each "
                "a name of its own."
            )
        names[client] = line.tensor
    if side == "output" and not names:
        raise GraphError("The signature has no outputs; choose at least one.")
    return names
