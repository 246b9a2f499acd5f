import pytest
import torch

from sepvae.errors import DataError
from sepvae.training import runtime
from sepvae.training.runtime import check_precision

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch):
    """A processor on which bfloat16 is fast and float16 is not."""
    seconds = {torch.float32: 1.0, torch.bfloat16: 0.5, torch.float16: 80.0}
    monkeypatch.setattr(runtime, "matmul_seconds", seconds.__getitem__)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("slow", ["16-mixed", "16-true", 16])
def test_a_precision_that_only_costs_time_is_refused(slow):
    with pytest.raises(DataError, match=f"precision: {slow} is 80 times slower than 32-true"):
        check_precision(slow, CPU)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("fine", ["bf16-mixed", "bf16-true", "32-true", "64-true", 32])
def test_what_is_fast_or_full_is_let_pass(fine):
    check_precision(fine, CPU)


@pytest.mark.usefixtures("clock")
def test_on_a_gpu_nothing_is_measured():
    check_precision("16-mixed", torch.device("cuda"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_takes_some_time(dtype):
    assert 0 < runtime.matmul_seconds(dtype) < 60
