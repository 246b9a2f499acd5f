"""
Measure the memory of one step of `cnn3d`, and compare it with the memory computed by arithmetic.

    python benchmarks/cnn3d.py            # 32, 48 and 64 voxels a side, batch 32; 128 by arithmetic only
    python benchmarks/cnn3d.py --checkpointing                              # with gradient checkpointing
    python benchmarks/cnn3d.py --fits --sides 64 --batch 16   # SepVAE with and without, and in bfloat16

Each size is measured in a process of its own: the growth of its peak resident memory over one whole step
(encoders, decoder, loss, gradients, Adam), after a step on one volume has loaded everything else. A fit is
two steps of SepVAE, without and with gradient checkpointing in turn.
"""

import argparse
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from sepvae import SepVAE
from sepvae.networks.autoencoder import ContrastiveAutoencoder, build_autoencoder

DIM = 128  # of each space, as in App. E.3
FLOAT = 4  # bytes


# Keywords of the fits that are compared. Half precision is tried where it is slow, too.
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "checkpointing": {"gradient_checkpointing": True},
    "bf16": {"precision": "bf16-mixed"},
    "bf16, checkpointing": {"precision": "bf16-mixed", "gradient_checkpointing": True},
}


def expected(side: int, batch: int, *, checkpointing: bool = False) -> tuple[int, float, float]:
    """
    Weights; gigabytes for weights, gradients and Adam's two moments; gigabytes kept for the backward pass.

    Each convolution keeps its output for the norm, and what ReLU makes of it; then come the volume itself,
    its reconstruction and their difference. With checkpointing, one encoder is computed again at a time.
    """
    with torch.device("meta"):
        model = _model(side)
    weights = sum(parameter.numel() for parameter in model.parameters())
    halved = [side // 2**i for i in range(6)]
    encoder = sum(
        2 * channels * n**3 for channels, n in zip((32, 64, 128, 256, 512), halved[1:], strict=True)
    )
    decoder = sum(2 * channels * n**3 for channels, n in ((64, halved[3]), (32, halved[2]), (16, halved[1])))
    values = (encoder if checkpointing else 2 * encoder + decoder + 128 * halved[4] ** 3) + 3 * side**3
    return weights, 4 * FLOAT * weights / 1e9, batch * FLOAT * values / 1e9


def measure(side: int, batch: int, *, checkpointing: bool) -> tuple[float, float]:
    """Growth of the peak in gigabytes, and seconds of a second step."""
    model = _model(side).to(memory_format=torch.channels_last_3d)
    if checkpointing:
        model.checkpoint_gradients()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def step(x: torch.Tensor) -> None:
        codes = model.encode(x)
        loss = (x - model.decode(codes.common_mean, codes.salient_mean)).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    weights = sum(parameter.numel() for parameter in model.parameters())
    before = _peak() - FLOAT * weights / 1e9  # weights are there already, and belong to what is measured
    x = torch.randn(batch, 1, side, side, side).contiguous(memory_format=torch.channels_last_3d)
    step(x)
    started = time.monotonic()
    step(x)
    return _peak() - before, time.monotonic() - started


class Clock(Callback):
    """Seconds of processor time at the end of each step."""

    def __init__(self) -> None:
        self.seconds = [time.process_time()]

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the time."""
        self.seconds.append(time.process_time())


def fit(side: int, batch: int, way: str) -> tuple[float, float, float]:
    """Growth of the peak in gigabytes, seconds of processor time of a second step, loss of it."""
    import sepvae.training.fit as fitting

    fitting.check_precision = lambda *_: None
    rng, clock = np.random.default_rng(0), Clock()
    x = rng.standard_normal((batch, 1, side, side, side), dtype=np.float32)
    y = np.arange(batch) % 2
    torch.ones(1).add(1)
    before = _peak()
    model = SepVAE(
        common_dim=DIM,
        salient_dim=DIM,
        background=0,
        network="cnn3d",
        batch_size=batch,
        max_epochs=2,
        learning_rate=5e-5,
        validation_fraction=0,
        accelerator="cpu",
        progress_bar=False,
        callbacks=[clock],
        **WAYS[way],
    ).fit(x, y)
    return _peak() - before, float(np.diff(clock.seconds)[-1]), float(model.history_["train_loss"].iloc[-1])


def _model(side: int) -> ContrastiveAutoencoder:
    return build_autoencoder("cnn3d", (1, side, side, side), DIM, DIM, 2)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kilobytes, on Linux


def compare(side: int, batch: int, ways: list[str], turns: int) -> None:
    """Print medians over turns of fits in processes of their own, and their ratios to the first way."""
    found: dict[str, list[list[float]]] = {way: [] for way in ways}
    for _ in range(turns):
        for way in ways:
            found[way].append(_child("--way", way, side=side, batch=batch))
    medians = {way: np.median(values, axis=0) for way, values in found.items()}
    for way, (memory, seconds, loss) in medians.items():
        ratio = medians[way] / medians[ways[0]]
        parts = side, batch, way, f"{memory:.2f}", f"{ratio[0]:.2f}", f"{seconds:.1f}", f"{ratio[1]:.2f}"
        print("| " + " | ".join(map(str, (*parts, f"{loss:.4f}"))) + " |", flush=True)


def _child(*options: str, side: int, batch: int) -> list[float]:
    command = [sys.executable, __file__, "--one", str(side), "--batch", str(batch), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(value) for value in done.stdout.split()]


def main() -> None:
    """One process a size; then what the paper's size takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 48, 64])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations")
    parser.add_argument("--fits", nargs="*", choices=WAYS, help="compare fits; default: plain, checkpointing")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        size = args.one, args.batch
        print(*(fit(*size, args.way) if args.way else measure(*size, checkpointing=args.checkpointing)))
        return
    if args.fits is not None:
        print("| side | batch | way | memory, GB | ratio | seconds a step | ratio | loss |")
        print("|---|---|---|---|---|---|---|---|")
        for side in args.sides:
            compare(side, args.batch, args.fits or ["plain", "checkpointing"], args.turns)
        return
    print(
        "| side | weights, millions | weights, gradients, Adam, GB | kept for backward, GB | sum, GB "
        "| measured, GB | s |"
    )
    print("|---|---|---|---|---|---|---|")
    options = ["--checkpointing"] * args.checkpointing
    for side in dict.fromkeys([*args.sides, 128]):
        weights, fixed, kept = expected(side, args.batch, checkpointing=args.checkpointing)
        row = [side, f"{weights / 1e6:.0f}", f"{fixed:.2f}", f"{kept:.2f}", f"{fixed + kept:.2f}", "", ""]
        if side in args.sides:
            found = _child(*options, side=side, batch=args.batch)
            row[-2:] = f"{found[0]:.2f}", f"{found[1]:.1f}"
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
