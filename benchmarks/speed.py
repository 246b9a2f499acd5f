"""
Measure training and encoding, Algorithm 1 to the letter, another library, and the machine's bound.

    python benchmarks/speed.py [--rows NAME ..] [--contenders NAME ..] [--repeats 7] [--out speed.json]

Contenders live in processes of their own and take turns, epoch by epoch, then encoding by encoding, so that
what disturbs the machine disturbs all of them; a ratio is taken within a turn. They are

eager, compiled, half   `SepVAE.fit` and `.encode` as a user calls them; with compile=True; in bfloat16
consistent  `eager` with the terms of removal and swap consistency (name it to have it)
plain      the steps of `eager` in a plain loop: what is missing is Lightning (name it to have it)
literal    Algorithm 1 as the authors' release does it: two full forward passes a step, the first not
           detached, a per-sample DataLoader, contiguous tensors, torch's plain Adam
pythae     its FactorVAE and trainer (`pip install pythae`) on the same decoder, with one encoder where the
           others have two; its forward pass takes half of each batch, so it does less for each image
bound      this machine's rate of multiplying matrices over the operations that an image takes

Batches are of 8-bit images (for mlp: of table rows) drawn at random; the weights are the preset `paper`'s.
"""

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import contenders
import numpy as np
from turns import Row, Turns

# One line each: method, network, shape of a sample, samples a batch, batches an epoch.
ROWS = [
    Row("SepVAE", "release", (3, 64, 64), 512, 3),
    Row("SepVAE", "e1", (3, 64, 64), 512, 3),
    Row("SepVAE", "e2", (3, 64, 64), 512, 3),
    Row("SepVAE", "cnn2d", (3, 64, 64), 512, 2),
    Row("SepVAE", "cnn2d", (1, 32, 32), 128, 12),
    Row("SepVAE", "mlp", (77,), 128, 150),
]
COLUMNS = {"train": "images/s, training", "encode": "images/s, encoding"}


def main() -> None:
    """Measure row after row; print and keep each as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = [row.name for row in ROWS]
    listed = "; ".join(names)
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="NAME", help=listed)
    parser.add_argument("--contenders", nargs="+", default=contenders.NAMES, help=" ".join(contenders.NAMES))
    parser.add_argument("--repeats", type=int, default=7, help="turns that count, after one that does not")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path("speed.json"))
    options = parser.parse_args()

    found: dict[str, Any] = {"machine": _machine(options.threads), "rows": {}}
    for row in [row for row in ROWS if row.name in options.rows]:
        print(f"\n{row.name}: some minutes", flush=True)
        found["rows"][row.name] = measure(row, list(options.contenders), options.repeats, options.threads)
        options.out.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{table(found['rows'][row.name])}", flush=True)


def measure(row: Row, names: list[str], repeats: int, threads: int) -> dict[str, Any]:
    """Start contenders one after the other, for the first step is timed; then let them take turns."""
    processes = {name: _start(name, row, repeats + 1, threads) for name in names}
    found: dict[str, Any] = {}
    for name, (process, connection) in processes.items():
        process.start()
        found[name] = {"first": _turn(connection), "train": [], "encode": []}
    for kind, turns in (("train", repeats), ("encode", repeats + 1)):
        for turn in range(turns):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:  # nobody always comes first
                if "error" not in found[name] | found[name]["first"] and (kind, name) != ("encode", "plain"):
                    _note(found[name], kind, _turn(processes[name][1]))
    for process, connection in processes.values():
        _turn(connection, leave=True)
        process.join()
    for measured in found.values():
        measured["encode"] = measured["encode"][1:]  # the first one warms up
    return found


def _start(name: str, row: Row, epochs: int, threads: int) -> tuple[Any, Connection]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    return context.Process(target=_live, args=(name, row, there, epochs, threads), daemon=True), here


def _live(name: str, row: Row, connection: Connection, epochs: int, threads: int) -> None:
    contenders.run(name, row, Turns(connection, epochs), threads)


def _turn(connection: Connection, *, leave: bool = False) -> dict[str, Any]:
    """Say go, and hear how it went."""
    try:
        connection.send(time.time())
        report: dict[str, Any] = {} if leave else connection.recv()
    except (EOFError, BrokenPipeError):
        return {"error": "the process died"}
    return report


def _note(measured: dict[str, Any], kind: str, report: dict[str, Any]) -> None:
    """Keep a report; who has failed is out."""
    if "error" in report:
        measured["error"] = report["error"]
    else:
        measured[kind].append(report)


def table(found: dict[str, Any]) -> str:
    """Medians, and ratios within a turn to `literal` with the least and the greatest."""
    heads = ("", "train/s", "x literal", "of bound", "encode/s", "x literal", "1st step s", "peak MiB")
    lines = ["{:9} {:>9} {:>19} {:>8} {:>9} {:>19} {:>10} {:>8}".format(*heads)]
    for name, measured in found.items():
        if error := measured["first"].get("error") or measured.get("error"):
            lines.append(f"{name:9} {error}")
            continue
        train, encode = (rates(measured[kind]) for kind in COLUMNS)
        share = ratio(train, found, "train", "bound", lambda r: f"{np.median(r):.0%}")
        first, peak = measured["first"]["first_step_s"] or np.nan, measured["train"][-1]["peak_mib"]
        lines.append(
            f"{name:9} {_median(train):>9} {ratio(train, found, 'train', 'literal'):>19} {share:>8} "
            f"{_median(encode):>9} {ratio(encode, found, 'encode', 'literal'):>19} "
            f"{first:>10.1f} {peak:>8.0f}"
        )
    return "\n".join(lines)


def rates(turns: list[dict[str, Any]]) -> np.ndarray:
    """Images per second, turn by turn."""
    return np.array([turn["images"] / turn["seconds"] for turn in turns])


def ratio(own: np.ndarray, found: dict[str, Any], kind: str, other: str, show: Any = None) -> str:
    """Compare turn by turn."""
    if other not in found or len(theirs := rates(found[other][kind])) != len(own) or not len(own):
        return ""
    ratios = own / theirs
    text = f"{np.median(ratios):.2f} [{ratios.min():.2f}, {ratios.max():.2f}]"
    return show(ratios) if show else text


def _median(values: np.ndarray) -> str:
    return f"{np.median(values):.0f}" if len(values) else ""


def _machine(threads: int) -> dict[str, Any]:
    cpu = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    flags = {flag for line in _lines("/proc/cpuinfo") if line.startswith("flags") for flag in line.split()}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)  # noqa: S607
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "cpu": next(iter(cpu), platform.processor()),
        "vector": sorted(flags & {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}),
        "threads": threads,
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "lightning", "pythae")},
    }


def _lines(file: str) -> list[str]:
    return Path(file).read_text().splitlines() if Path(file).exists() else []


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
