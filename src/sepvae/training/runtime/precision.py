"""Check that half precision is not slower than single precision on this CPU."""

import time

import torch

from sepvae.errors import DataError

SIDE = 512  # of the matrices that are multiplied to measure the time
HALF = {"bf16": torch.bfloat16, "16": torch.float16}
SLOWER = 1.5  # times; smaller ratios may be timing noise


def check_precision(precision: object, device: torch.device) -> None:
    """Raise DataError if half precision is slower: few CPUs multiply it in hardware, the others convert."""
    dtype = HALF.get(str(precision).split("-")[0])
    if dtype is None or device.type != "cpu":
        return
    single, half = matmul_seconds(torch.float32), matmul_seconds(dtype)
    if half > SLOWER * single:
        raise DataError(
            f"precision: {precision} is {half / single:.0f} times slower than 32-true on this processor; "
            "leave it out"
        )


def matmul_seconds(dtype: torch.dtype) -> float:
    """Return the shortest time of a few matrix products, because the first ones include start-up costs."""
    matrix = torch.ones(SIDE, SIDE, dtype=dtype)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return min(times)
