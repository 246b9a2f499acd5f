"""
Measure the memory of one step of `cnn3d`, and compare it with the memory computed by arithmetic.

    python benchmarks/cnn3d.py            # 32, 48 and 64 voxels a side, batch 32; 128 by arithmetic only

Each size is measured in a process of its own: the growth of its peak resident memory over one whole step
(encoders, decoder, loss, gradients, Adam), after a step on one volume has loaded everything else.
"""

import argparse
import resource
import subprocess
import sys
import time

import torch

from sepvae.networks.autoencoder import ContrastiveAutoencoder, build_autoencoder

DIM = 128  # of each space, as in App. E.3
FLOAT = 4  # bytes


def expected(side: int, batch: int) -> tuple[int, float, float]:
    """
    Weights; gigabytes for weights, gradients and Adam's two moments; gigabytes kept for the backward pass.

    Each convolution keeps its output for the norm, and what ReLU makes of it; then come the volume itself,
    its reconstruction and their difference.
    """
    with torch.device("meta"):
        model = _model(side)
    weights = sum(parameter.numel() for parameter in model.parameters())
    halved = [side // 2**i for i in range(6)]
    encoder = sum(
        2 * channels * n**3 for channels, n in zip((32, 64, 128, 256, 512), halved[1:], strict=True)
    )
    decoder = sum(2 * channels * n**3 for channels, n in ((64, halved[3]), (32, halved[2]), (16, halved[1])))
    values = 2 * encoder + decoder + 128 * halved[4] ** 3 + 3 * side**3
    return weights, 4 * FLOAT * weights / 1e9, batch * FLOAT * values / 1e9


def measure(side: int, batch: int) -> tuple[float, float]:
    """Growth of the peak in gigabytes, and seconds of a second step."""
    model = _model(side).to(memory_format=torch.channels_last_3d)
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


def _model(side: int) -> ContrastiveAutoencoder:
    return build_autoencoder("cnn3d", (1, side, side, side), DIM, DIM, 2)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kilobytes, on Linux


def main() -> None:
    """One process a size; then what the paper's size takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 48, 64])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(*measure(args.one, args.batch))
        return
    print(
        "| side | weights, millions | weights, gradients, Adam, GB | kept for backward, GB | sum, GB "
        "| measured, GB | s |"
    )
    print("|---|---|---|---|---|---|---|")
    for side in (*args.sides, 128):
        weights, fixed, kept = expected(side, args.batch)
        row = [side, f"{weights / 1e6:.0f}", f"{fixed:.2f}", f"{kept:.2f}", f"{fixed + kept:.2f}", "", ""]
        if side in args.sides:
            command = [sys.executable, __file__, "--one", str(side), "--batch", str(args.batch)]
            found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            row[-2:] = f"{float(found[0]):.2f}", f"{float(found[1]):.1f}"
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
