import pytest
import torch

from sepvae.training import runtime
from sepvae.training.runtime import compiled


def test_a_compiled_function_computes_the_same(monkeypatch):
    monkeypatch.setattr(runtime.torch, "compile", lambda function, **_: lambda x: function(x) + 0)
    twice = compiled(lambda x: 2 * x)
    assert [twice(3), twice(4)] == [6, 8]


def test_where_it_cannot_be_compiled_it_runs_as_it_is_and_says_why_once(monkeypatch):
    def fail(_):
        raise RuntimeError("no C++ compiler\nfound\n\nSet TORCHDYNAMO_VERBOSE=1 ..")

    monkeypatch.setattr(runtime.torch, "compile", lambda *_, **__: fail)
    twice = compiled(lambda x: 2 * x)
    with pytest.warns(UserWarning, match=r"^compile: training goes on without, for no C\+\+ compiler found$"):
        assert twice(3) == 6
    assert twice(4) == 8


def test_an_error_of_the_function_itself_is_raised(monkeypatch):
    monkeypatch.setattr(runtime.torch, "compile", lambda function, **_: function)

    def broken(_):
        raise ZeroDivisionError("mine")

    with pytest.warns(UserWarning, match="compile"), pytest.raises(ZeroDivisionError, match="mine"):
        compiled(broken)(torch.ones(1))
