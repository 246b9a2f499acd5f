"""Half precision: asked for by keyword, refused where this processor is slower with it."""

import time

import torch

from sepvae.errors import DataError

SIDE = 512  # of the matrices that are multiplied to find out
HALF = {"bf16": torch.bfloat16, "16": torch.float16}
SLOWER = 1.5  # times, from where on it is no accident of the clock


def check_precision(precision: object, device: torch.device) -> None:
    """Refuse a half precision that only costs time: few CPUs multiply it in hardware, the others convert."""
    dtype = HALF.get(str(precision).split("-")[0])
    if dtype is None or device.type != "cpu":
        return
    single, half = _seconds(torch.float32), _seconds(dtype)
    if half > SLOWER * single:
        raise DataError(
            f"precision: {precision} is {half / single:.0f} times slower than 32-true on this processor; "
            "leave it out"
        )


def _seconds(dtype: torch.dtype) -> float:
    """Least time of a matrix product: of a few, for the first ones wake what is slow to start."""
    matrix = torch.ones(SIDE, SIDE, dtype=dtype)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return min(times)
