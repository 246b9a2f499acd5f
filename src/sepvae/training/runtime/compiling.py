"""Functions compiled by torch, with the plain function as a fallback."""

import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """
    Compile a function of tensors on its first call; if torch cannot, warn and use the plain function.

    The function must have no side effects, because it is called again after a failure.
    """
    chosen: Callable[P, R] | None = None

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal chosen
        if chosen is not None:
            return chosen(*args, **kwargs)
        fast: Callable[P, R] = torch.compile(function, dynamic=False)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # from the compiler, about its own and the traced code
                result = fast(*args, **kwargs)
        except Exception as error:
            # Compiler errors share no class; an error of the function itself is raised again below.
            reason = " ".join(str(error).split("\n\n")[0].split()) or type(error).__name__
            warnings.warn(f"compile: training goes on without, for {reason}", stacklevel=2)
            chosen = function
            return function(*args, **kwargs)
        chosen = fast
        return result

    return run
