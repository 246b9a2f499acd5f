"""Functions compiled by torch, with the plain function as a fallback."""

import warnings
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """
    Compile a function of tensors on its first call; if torch cannot, warn and use the plain function.

    The function must have no side effects, because it is called again after a failure.
    """
    return _Compiled(function)


class _Compiled(Generic[P, R]):
    """Callable that tries to compile once, then keeps the compiled or the plain function."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        self.chosen: Callable[P, R] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.chosen is not None:
            return self.chosen(*args, **kwargs)
        fast: Callable[P, R] = torch.compile(self.function, dynamic=False)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # from the compiler, about its own and the traced code
                result = fast(*args, **kwargs)
        except Exception as error:
            # Compiler errors share no class; an error of the function itself is raised again below.
            reason = " ".join(str(error).split("\n\n")[0].split()) or type(error).__name__
            warnings.warn(f"compile: training goes on without, for {reason}", stacklevel=2)
            self.chosen = self.function
            return self.function(*args, **kwargs)
        self.chosen = fast
        return result
