"""Functions compiled by torch, where it can."""

import warnings
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Have torch compile a function when it is first called; where it cannot, the function runs as it is."""
    return _Compiled(function)


class _Compiled(Generic[P, R]):
    """Tries once; then what was chosen."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        self.chosen: Callable[P, R] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.chosen is not None:
            return self.chosen(*args, **kwargs)
        fast: Callable[P, R] = torch.compile(self.function, dynamic=False)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the compiler's, on its own code and on what it traces
                result = fast(*args, **kwargs)
        except Exception as error:
            # The compiler's errors have no class in common; the function's own come again below.
            reason = " ".join(str(error).split("\n\n")[0].split()) or type(error).__name__
            warnings.warn(f"compile: training goes on without, for {reason}", stacklevel=2)
            self.chosen = self.function
            return self.function(*args, **kwargs)
        self.chosen = fast
        return result
