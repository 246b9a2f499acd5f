"""Shared code of the contenders of `speed.py`: the row, its data, and the waiting for a turn."""

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from torch import Tensor

Encode = Callable[[], Any]
LEAST_SECONDS = 0.5  # what takes less is repeated, where it can be


@dataclass(frozen=True)
class Row:
    """A line of the table: a method with a network, on samples of a shape, in batches."""

    method: str
    network: str
    shape: tuple[int, ...]
    batch: int
    batches: int  # an epoch

    @property
    def name(self) -> str:
        """As it is asked for, and printed."""
        return f"{self.method} {self.network} {'x'.join(map(str, self.shape))} {self.batch}"

    @property
    def samples(self) -> int:
        """In an epoch."""
        return self.batch * self.batches


class Turns:
    """
    Waits for the parent's word, reports how long the turn took, and waits again.

    A process that waits blocks in the kernel; `waiting_cpu_s` is the CPU time that it took all the same.
    """

    def __init__(self, connection: Connection, epochs: int) -> None:
        self.connection, self.epochs = connection, epochs
        self.started = self.connection.recv()  # the first word says when it was said
        self.first_step: float | None = None
        self.turn = 0
        self.waiting_cpu = 0.0

    def begin(self) -> None:
        """Wait for the turn."""
        cpu = time.process_time()
        if self.turn > 0:
            self.connection.recv()
        self.turn += 1
        self.waiting_cpu = time.process_time() - cpu
        self.begun = time.perf_counter()

    def stepped(self) -> None:
        """Take note of when the first step is done, counted from the start of the process."""
        if self.first_step is None:
            self.first_step = time.time() - self.started

    def end(self, images: float) -> None:
        """Report; `images` is how many were trained on or encoded."""
        seconds = time.perf_counter() - self.begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        report = {"images": images, "seconds": seconds, "peak_mib": peak / 2**20}
        self.connection.send(report | {"first_step_s": self.first_step, "waiting_cpu_s": self.waiting_cpu})

    def leave(self) -> None:
        """Wait for the word to end, for that too would disturb those who are at work."""
        self.connection.recv()

    def encode(self, once: Encode, n: int) -> None:
        """Take as many turns again, encoding `n` samples over and over until the time can be measured."""
        for _ in range(self.epochs):
            self.begin()
            passes = 0
            while passes == 0 or time.perf_counter() - self.begun < LEAST_SECONDS:
                once()
                passes += 1
            self.end(passes * n)


def make_data(row: Row) -> tuple[np.ndarray, np.ndarray]:
    """Draw random samples, 8-bit images or a table, half of them background."""
    rng = np.random.default_rng(0)
    shape = (row.samples, *row.shape)
    x = (
        rng.integers(0, 256, shape, np.uint8)
        if len(row.shape) > 1
        else rng.standard_normal(shape, np.float32)
    )
    return x, np.arange(row.samples) % 2


def as_float(x: np.ndarray) -> Tensor:
    """Give images in [0, 1], tables as they are."""
    return torch.from_numpy(x).float() / 255 if x.dtype == np.uint8 else torch.from_numpy(x)
