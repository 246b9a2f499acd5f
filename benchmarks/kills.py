"""
Kill fits at random moments, resume them, and compare their results with fits that were never stopped.

Each round starts a fit in a process of its own, and sends it SIGKILL at a random moment (some in or after an
epoch, some at any time of the whole fit). It resumes the fit with --resume, killed again half of the times,
until it is finished. Weights must be the same to the bit, codes, metrics and scores to the letter.

    python benchmarks/kills.py --rounds 100 --seed 0
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

COMPARED = ("model/model.safetensors", "codes.csv", "metrics.csv", "scores.csv", "correlations.csv")
QUICK = ["common_dim=3", "salient_dim=2", "batch_size=32"]
STAGES = {  # the last file that is there, and what was being done
    "report.html": "removing the checkpoint",
    "removal.csv": "drawing, writing the page",
    "examples.npz": "judging, mapping",
    "codes.csv": "scoring",
    "model": "encoding, writing codes",
    ".model.*": "writing the model",
    "checkpoints/.last.ckpt": "training: writing the checkpoint",
    ".metrics.csv.*": "training: writing metrics",
    "checkpoints/last.ckpt": "training: critic and model steps",
    "recipe.yaml": "checking, first epoch",
}
FITS = {  # data, method, keywords
    "SepVAE": ("table", "SepVAE", ["max_epochs=100"]),
    "SepVAE, reset, early stop": (
        "table",
        "SepVAE",
        ["max_epochs=200", "reset_optimizer=epoch", "early_stopping=8", "learning_rate=0.01"],
    ),
    "ConVAE, best epoch": ("table", "ConVAE", ["max_epochs=100", "keep=best"]),
    "MM-cVAE, clipped": ("table", "MMcVAE", ["max_epochs=100", "gradient_clip_val=1"]),
    "SepVAE, images, 2 workers": ("images", "SepVAE", ["max_epochs=10", "num_workers=2"]),
    "ConVAE, images, reset": (
        "images",
        "ConVAE",
        ["max_epochs=10", "num_workers=0", "reset_optimizer=epoch"],
    ),
    "contrastive PCA": ("table", "ContrastivePCA", []),
}


def make_data(folder: Path) -> dict[str, list[str]]:
    """Write a table and a folder of images; give what `sepvae fit` is told of each."""
    rng = np.random.default_rng(0)
    label = np.array(["control", "patient"] * 75)
    table = pd.DataFrame(rng.normal(size=(150, 8)), columns=[f"m{i}" for i in range(8)])
    table["m0"] += (label == "patient") * rng.normal(2, 1, size=150)
    table.assign(id=[f"sub-{i}" for i in range(150)], dx=label, age=rng.normal(40, 9, size=150)).to_csv(
        folder / "table.csv", index=False
    )
    for i in range(100):
        image = rng.integers(0, 128, size=(32, 32), dtype=np.uint8)
        image[8:16, 8:16] += 127 * (i % 2)
        path = folder / "images" / ("control", "patient")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    of_table = ["--label", "dx", "--id", "id", "--features", "m*", "--attribute", "age"]
    return {
        "table": [str(folder / "table.csv"), *of_table],
        "images": [str(folder / "images"), "--image-size", "32", "--memory", "0"],
    }


def run(arguments: list[str], log: Path) -> None:
    """Be `sepvae fit`, in a new process."""
    from sepvae.cli import main

    with log.open("a") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        sys.argv = ["sepvae", "fit", *arguments]
        main()


def fit(arguments: list[str], out: Path, context: BaseContext, moment: Callable[[], bool] | None) -> int:
    """Start a fit, and kill it when it is the moment; give its exit status, below 0 if it was killed."""
    told = [*arguments, "--out", str(out), "--resume"]
    process = context.Process(target=run, args=(told, out.with_suffix(".log")))
    process.start()
    while process.exitcode is None:
        process.join(None if moment is None else 0.002)
        if moment is not None and moment():
            process.kill()
            process.join()
    return process.exitcode


def a_moment(rng: np.random.Generator, out: Path, seconds: float, epochs: int) -> Callable[[], bool]:
    """Draw a moment: in or after a certain epoch, or at any time of the whole fit."""
    start, metrics = time.monotonic(), out / "metrics.csv"
    if epochs == 0 or rng.random() < 0.4:
        end = start + rng.uniform(0, seconds)
        return lambda: time.monotonic() > end
    epoch, delay, seen = int(rng.integers(epochs)), rng.uniform(0, 0.1), []

    def moment() -> bool:
        if not seen and metrics.exists() and metrics.read_bytes().count(b"\n") > epoch:
            seen.append(time.monotonic())
        return bool(seen) and time.monotonic() > seen[0] + delay

    return moment


def stage(out: Path) -> str:
    """Say how far a fit had come, by its files."""
    for file, name in STAGES.items():
        if any(out.glob(file)):
            return name
    return "reading"


def differing(out: Path, whole: Path) -> list[str]:
    """Name the files that are not the same."""
    files = [name for name in COMPARED if (whole / name).exists()]
    return [name for name in files if (out / name).read_bytes() != (whole / name).read_bytes()]


def main() -> None:
    """Print a line a round, and a table of where fits were killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sepvae.cli.app", "sepvae.runs", "sepvae.benchmark"])
    begun, killed, bad = time.monotonic(), Counter[str](), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_data(folder)
        commands, seconds, epochs = {}, {}, {}
        for number, (what, (source, method, keywords)) in enumerate(FITS.items()):
            chosen = QUICK + keywords if keywords else QUICK[:2]
            sets = [word for pair in chosen for word in ("--set", pair)]
            commands[what] = [*data[source], "--method", method, "--permutations", "0", *sets]
            started, out = time.monotonic(), folder / f"whole{number}"
            if fit(commands[what], out, context, None) != 0:
                sys.exit(out.with_suffix(".log").read_text())
            seconds[what] = time.monotonic() - started
            epochs[what] = len(pd.read_csv(out / "metrics.csv")) if keywords else 0
            print(f"{what}: {seconds[what]:.1f} s, {epochs[what]} epochs", flush=True)
        for i in range(asked.rounds):
            what = list(FITS)[i % len(FITS)]
            whole, out = folder / f"whole{i % len(FITS)}", folder / f"round{i}"
            stages, status = [], -1
            while status < 0:
                again = not stages or rng.random() < 0.5
                moment = a_moment(rng, out, seconds[what], epochs[what]) if again else None
                status = fit(commands[what], out, context, moment)
                stages += [stage(out)] * (status < 0)
            apart = differing(out, whole) if status == 0 else [f"status {status}"]
            bad += bool(apart)
            killed.update(stages)
            told = "the same" if not apart else f"NOT THE SAME: {', '.join(apart)}"
            print(f"{i + 1:3} {what}: killed while {'; '.join(stages) or 'nothing'}: {told}", flush=True)
            if apart:
                print(out.with_suffix(".log").read_text()[-2000:], flush=True)
            shutil.rmtree(out)
    print("\n| killed while | times |\n|---|---|")
    for name, times in killed.most_common():
        print(f"| {name} | {times} |")
    wall = (time.monotonic() - begun) / 60
    print(f"\n{asked.rounds} rounds, {killed.total()} kills, {bad} with other results, {wall:.1f} min")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
