"""The check at the start of every verb. It runs once, although verbs call each other."""

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

import onnx

from onnxgraph.model.validity import check

_inside: ContextVar[bool] = ContextVar("inside", default=False)
"""Whether a verb is running."""

Given = ParamSpec("Given")
Result = TypeVar("Result")


def checked(verb: Callable[Given, Result]) -> Callable[Given, Result]:
    """Let a verb check its models, unless another verb calls it.

    Inputs and outputs may be without shapes, which verbs infer or ask for.

    Raises:
        GraphError: when called, a model is not valid.
    """

    @functools.wraps(verb)
    def call(*given: Given.args, **options: Given.kwargs) -> Result:
        if _inside.get():
            return verb(*given, **options)
        for value in (*given, *options.values()):
            if isinstance(value, onnx.ModelProto):
                check(value, shapes=False)
        token = _inside.set(True)
        try:
            return verb(*given, **options)
        finally:
            _inside.reset(token)

    return call
