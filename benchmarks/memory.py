"""
Peak memory of `sepvae fit` from a packed store, with few and with many subjects.

    python benchmarks/memory.py [--n 200 2000] [--side 32] [--set batch_size=16 ...]

Makes a store of smooth random volumes (float32) for each n, by `sepvae.data.packed.pack`, and fits one epoch
on each by the command, in a process of its own. Prints a table, and ends with status 1 if the peak with the
most subjects is above 1.15 times that with the fewest.

"Largest" is the highest peak of one process, by the kernel's VmHWM; nearly always this is the process that
trains. "All" is the peak of the sum over that process and its child processes, the workers that read. It is
sampled five times a second, and memory that forked processes share counts once (Pss). Both must stay flat.
Linux only.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import zoom

from sepvae.batch import IntArray
from sepvae.data.nifti import Header
from sepvae.data.packed import pack
from sepvae.grid import Grid

MOST = 1.15  # times the peak with the fewest subjects
EVERY = 0.2  # s between samples


@dataclass(frozen=True)
class SmoothVolumes:
    """Smooth random volumes, made when they are asked for."""

    seeds: IntArray
    side: int

    def __len__(self) -> int:
        return len(self.seeds)

    def __call__(self, i: int) -> np.ndarray:
        rng = np.random.default_rng(int(self.seeds[i]))
        smooth = zoom(rng.normal(size=(5, 5, 5)), self.side / 5, order=1)
        return (smooth + 0.1 * rng.normal(size=smooth.shape)).astype(np.float32)

    def header(self, i: int) -> Header:  # noqa: ARG002
        return Header(Grid((self.side,) * 3, np.diag([4.0, 4, 4, 1])), "float32")

    def name(self, i: int) -> str:
        return f"volume {i}"

    def select(self, rows: IntArray) -> "SmoothVolumes":
        return SmoothVolumes(self.seeds[rows], self.side)


def main() -> None:
    """Measure and print."""
    options = _options()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for n in sorted(options.n):
            store = make_store(Path(name) / f"{n}.zarr", n, options.side)
            size = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
            start = time.perf_counter()
            largest, together = fit(store, Path(name) / f"run-{n}", options)
            seconds = time.perf_counter() - start
            volumes = n * options.side**3 * 4
            rows.append([n, volumes / 1e6, size / 1e6, largest / 1e6, together / 1e6, seconds])
    columns = ["subjects", "voxels MB", "store MB", "largest MB", "all MB", "seconds"]
    table = pd.DataFrame(rows, columns=columns).astype({"subjects": int})
    print(table.to_string(index=False, float_format="{:.0f}".format))
    ratios = (table.iloc[-1] / table.iloc[0])[["largest MB", "all MB"]]
    print(f"ratio: largest {ratios.iloc[0]:.3f}, all {ratios.iloc[1]:.3f}; wanted {MOST} or less")
    sys.exit(int(ratios.max() > MOST))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[200, 2000], help="subjects")
    parser.add_argument("--side", type=int, default=32, help="voxels along each edge")
    parser.add_argument("--set", nargs="+", default=["batch_size=16"], help="keywords of SepVAE")
    return parser.parse_args()


def make_store(path: Path, n: int, side: int) -> Path:
    """Pack n volumes, half of them of patients, with a table of age and sex."""
    names = [f"sub-{i:05}" for i in range(n)]
    rng = np.random.default_rng(0)
    cells = pd.DataFrame(
        {
            "participant_id": names,
            "group": [("control", "patient")[i % 2] for i in range(n)],
            "age": rng.integers(20, 80, n).astype(str),
            "sex": rng.choice(["female", "male"], n),
        },
        dtype=str,
    )
    pack(SmoothVolumes(np.arange(n), side), cells, path, files=names)
    return path


def fit(store: Path, run: Path, options: argparse.Namespace) -> tuple[int, int]:
    """Fit one epoch; bytes of the largest process, and of all together, at their peaks."""
    command = [sys.executable, "-m", "sepvae", "fit", str(store), "--out", str(run)]
    command += ["--label", "group", "--background", "control", "--attribute", "age", "--attribute", "sex"]
    command += ["--permutations", "0"]
    keywords = ["max_epochs=1", "accelerator=cpu", "progress_bar=false", *options.set]
    command += [word for keyword in keywords for word in ("--set", keyword)]
    log = run.with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        largest = together = 0
        while process.poll() is None:
            found = [_memory(pid) for pid in _tree(process.pid)]
            largest = max(largest, *(peak for peak, _ in found))
            together = max(together, sum(now for _, now in found))
            time.sleep(EVERY)
    if process.returncode:
        sys.exit(f"{' '.join(command)}\nended with {process.returncode}:\n{log.read_text()[-2000:]}")
    return largest, together


def _tree(pid: int) -> list[int]:
    """A process and all below it, as far as they are alive."""
    below: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            below.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += below.get(one, [])
    return found


def _memory(pid: int) -> tuple[int, int]:
    """Peak of a process so far, and its share of memory now, in bytes."""
    try:
        peak = _line(f"/proc/{pid}/status", "VmHWM:")
        return peak, _line(f"/proc/{pid}/smaps_rollup", "Pss:")
    except OSError:
        return 0, 0


def _line(file: str, name: str) -> int:
    lines = Path(file).read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


if __name__ == "__main__":
    if not Path("/proc/self/smaps_rollup").exists():
        sys.exit("memory is looked up in /proc, which only Linux has")
    main()
