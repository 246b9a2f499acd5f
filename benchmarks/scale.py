"""
Measure reading, fitting and memory against the number of samples.

    python benchmarks/scale.py --out scale.json [--parts reading fit] [--images 20000] [--n 1000 10000 100000]
    python benchmarks/scale.py --out scale.json --figure scale.png

Reading: images/s from PNG files of 64 x 64, made in a temporary folder and read as `sepvae fit` reads them.
"First" is after the kernel dropped the files' pages on request; the line "cached" has the share that stayed.
Names of files stay known to the kernel, and a disk below a virtual machine may have a cache of its own.

Fit: seconds and peak memory of SepVAE with its defaults on n random images of 32 x 32, as uint8. Memory is
counted from what the process holds before the data are made, after imports and a fit of 256 samples; what one
training step needs is in the peak, and the same for every n.

Each repeat has a process of its own. The load average before it shows other jobs of the machine, since times
of a busy machine are useless. OUT is written after each repeat; its other parts and other n stay. The second
form measures nothing, and draws the fits in OUT.
"""

import argparse
import ctypes
import json
import mmap
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

Report = dict[str, float]
MB = 1e6
SIDE, SHAPE = 64, (1, 32, 32)  # of image files, of samples to fit
BATCH, EPOCHS, WARM_UP = 128, 2, 256
READING = {  # measurement: its title, whether it is a time for all images
    "list": ("list files", True),
    "first": ("decode, files dropped from memory", True),
    "again": ("decode, files still in memory", True),
    "take": ("take batches, all held in memory", True),
    "stream_first": ("stream batches, first epoch", True),
    "stream_again": ("stream batches, later epochs", True),
    "load": ("load average", False),
    "cached": ("cached: share of pages not dropped", False),
    "decoded_mb": ("decoded images, MB", False),
    "peak_above_data_mb": ("peak of decoding above them, MB", False),
}
FIT = {
    "load": "load average",
    "threads": "threads",
    "data_mb": "data MB",
    "epoch_s": "s an epoch",
    "s_per_1000": "s of 1000",
    "rest_s": "rest of fit s",
    "encode_s": "encode s",
    "peak_mb": "peak MB",
    "peak_above_data_mb": "peak-data MB",
    "encode_peak_above_data_mb": "encode-data MB",
}


def main() -> None:
    """Measure and print, or draw."""
    options = _options()
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    if options.figure:
        draw(found["fit"], options.figure)
        return
    found["cores"] = os.cpu_count()
    if "reading" in options.parts:
        found["reading"] = {"images": options.images, "channels": options.channels, "repeats": []}
        measure_reading(found, options)
        print_reading(found["reading"])
    if "fit" in options.parts:
        found["fit"] = found.get("fit", {}) | {str(n): [] for n in options.n}
        measure_fit(found, options)
        print_fit(found["fit"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--figure", type=Path, help="draw what OUT has, to this file")
    parser.add_argument("--parts", nargs="+", choices=("reading", "fit"), default=("reading", "fit"))
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--channels", type=int, choices=(1, 3), default=1, help="grey or RGB files")
    parser.add_argument("--n", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def measure_reading(found: dict[str, Any], options: argparse.Namespace) -> None:
    """Make the files once, and read them in several processes."""
    with tempfile.TemporaryDirectory() as folder:
        found["reading"]["file_kb"] = make_images(Path(folder), options.images, options.channels)
        for _ in range(options.repeats):
            found["reading"]["repeats"].append(_apart(read_once, folder, options.channels))
            options.out.write_text(json.dumps(found, indent=1) + "\n")


def measure_fit(found: dict[str, Any], options: argparse.Namespace) -> None:
    """All n in turn, so that a slow minute of the machine does not fall on one n only."""
    for _ in range(options.repeats):
        for n in options.n:
            found["fit"][str(n)].append(_apart(fit_once, n))
            options.out.write_text(json.dumps(found, indent=1) + "\n")


def _apart(measure: Callable[..., Report], *arguments: Any) -> Report:
    """Measure in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def make_images(folder: Path, n: int, channels: int) -> float:
    """Write smooth random images with some noise, half of them to each of two folders; mean size in kB."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for label in ("background", "target"):
        (folder / label).mkdir()
    for i in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize((SIDE, SIDE))
        pixels = np.asarray(coarse if channels == 3 else coarse.convert("L"), dtype=np.float32)
        noisy = (pixels + rng.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / ("background", "target")[i % 2] / f"{i:07}.png")
    return float(np.mean([file.stat().st_size for file in folder.glob("*/*.png")]) / 1e3)


def read_once(folder: str, channels: int) -> Report:
    """List, decode twice, then take batches from memory and from the files, as training does."""
    from sepvae.data.loading import list_data, read_manifest
    from sepvae.training.loader import ordered_batches

    found = {"load": os.getloadavg()[0]}
    manifest, found["list"] = _timed(lambda: list_data(folder))
    look: dict[str, Any] = {"image_size": SIDE, "channels": channels}
    read_manifest(manifest.limited(WARM_UP), **look)
    _drop(manifest.files)
    found["cached"] = _cached(manifest.files[:: max(1, len(manifest) // 500)])
    held = _held_mb()
    source, found["first"] = _timed(lambda: read_manifest(manifest, **look)[0])
    found["decoded_mb"] = len(source) * channels * SIDE**2 / MB
    found["peak_above_data_mb"] = _peak_mb() - held - found["decoded_mb"]
    _, found["again"] = _timed(lambda: read_manifest(manifest, **look))

    order = np.random.default_rng(0).permutation(len(manifest))
    batches = ordered_batches(source, order, order, batch_size=BATCH)
    _, found["take"] = _timed(lambda: sum(len(x) for x, _ in batches))
    stream, _ = read_manifest(manifest, **look, memory=0)
    batches = ordered_batches(stream, order, order, batch_size=BATCH)
    for epoch in ("stream_first", "stream_again"):  # the first one starts the workers
        _, found[epoch] = _timed(lambda: sum(len(x) for x, _ in batches))
    return found


def _drop(files: Sequence[Path]) -> None:
    """Have the kernel forget what it holds of these files, once all is on the disk."""
    os.sync()
    for file in files if hasattr(os, "posix_fadvise") else ():
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _cached(files: Sequence[Path]) -> float:
    """Share of these files' pages that the kernel holds in memory; NaN where it cannot be asked."""
    pages: list[float] = []
    for file in files if sys.platform == "linux" else ():
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
            start = ctypes.byref(view := ctypes.c_char.from_buffer(mapped))
            held = (ctypes.c_ubyte * -(-len(mapped) // mmap.PAGESIZE))()
            failed = ctypes.CDLL(None).mincore(start, ctypes.c_size_t(len(mapped)), held)
            pages += [float("nan")] if failed else [page & 1 for page in held]
            del start, view  # else the map could not be closed
    return float(np.mean(pages)) if pages else float("nan")


def fit_once(n: int) -> Report:
    """Fit and encode n samples."""
    import torch
    from lightning.pytorch.callbacks import LambdaCallback

    from sepvae import SepVAE

    load = os.getloadavg()[0]
    starts: list[float] = []  # of epochs; and when the last one ends

    def note(*_: Any) -> None:
        starts.append(time.perf_counter())

    clock = LambdaCallback(on_train_epoch_start=note, on_train_end=note)
    keywords: dict[str, Any] = {"accelerator": "cpu", "random_state": 0, "progress_bar": False}
    model = SepVAE(max_epochs=EPOCHS, batch_size=BATCH, callbacks=[clock], **keywords)
    x, y = _samples(WARM_UP)
    model.fit(x, y).encode(x)
    held = _held_mb()
    x, y = _samples(n)
    _, seconds = _timed(lambda: model.fit(x, y))
    peak = _peak_mb() - held
    _, encode = _timed(lambda: model.encode(x))
    epoch = float(np.diff(starts[-EPOCHS - 1 :]).mean())
    data = (x.nbytes + y.nbytes) / MB
    return {
        "load": load,
        "threads": torch.get_num_threads(),
        "data_mb": data,
        "epoch_s": epoch,
        "s_per_1000": epoch / n * 1000,
        "rest_s": seconds - epoch * EPOCHS,
        "encode_s": encode,
        "held_mb": held,
        "peak_mb": peak,
        "peak_above_data_mb": peak - data,
        "encode_peak_above_data_mb": _peak_mb() - held - data,
    }


def _samples(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(0).integers(0, 256, (n, *SHAPE), np.uint8), np.arange(n) % 2


def _timed(act: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return act(), time.perf_counter() - start


def _peak_mb() -> float:
    """Most memory that this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / MB


def _held_mb() -> float:
    """Memory that this process has now; where the system has no such file, the most it ever had."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * mmap.PAGESIZE / MB if statm.exists() else _peak_mb()


def print_reading(found: dict[str, Any]) -> None:
    """One line for each measurement: median, least and most."""
    print(f"\nReading {found['images']} images, {found['file_kb']:.1f} kB each")
    for name, (title, is_time) in READING.items():
        values = [found["images"] / r[name] if is_time else r[name] for r in found["repeats"]]
        print(f"{title:36}{_spread(values):>28}{'  images/s' * is_time}")


def print_fit(found: dict[str, list[Report]]) -> None:
    """One column for each n: median, least and most."""
    ns = sorted(found, key=int)
    print("\nFit: " + "".join(f"{'n = ' + n:>28}" for n in ns))
    for name, title in FIT.items():
        print(f"{title:16}" + "".join(f"{_spread([r[name] for r in found[n]]):>28}" for n in ns))


def _spread(values: Sequence[float]) -> str:
    found = [float(f(values)) for f in (np.median, min, max)]
    middle, low, high = (f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}" for x in found)
    return f"{middle} ({low}..{high})"


def draw(found: dict[str, list[Report]], file: Path) -> None:
    """Time of an epoch, and memory above the data, against n."""
    from matplotlib.figure import Figure

    from sepvae.plotting.palette import BACKGROUND, NEUTRAL, TARGET

    ns = np.array(sorted(map(int, found)))
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2, subplot_kw={"xscale": "log", "xlabel": "samples"})
    middle = _points(time_axes, ns, found, "epoch_s", BACKGROUND)
    time_axes.plot(ns, middle[-1] * ns / ns[-1], color=NEUTRAL, lw=0.8, ls="--", label="proportional to n")
    time_axes.set(yscale="log", ylabel="seconds an epoch")
    time_axes.legend(frameon=False, fontsize=8)
    _points(memory_axes, ns, found, "peak_above_data_mb", TARGET)
    memory_axes.set(ylabel="peak above the data, MB", ylim=(0, 1.1 * memory_axes.get_ylim()[1]))
    for axes in (time_axes, memory_axes):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)


def _points(axes: Any, ns: np.ndarray, found: dict[str, Any], name: str, colour: str) -> np.ndarray:
    """Medians, with bars from least to most."""
    values = [[report[name] for report in found[str(n)]] for n in ns]
    low, middle, high = (np.array([np.quantile(v, q) for v in values]) for q in (0, 0.5, 1))
    axes.errorbar(
        ns, middle, [middle - low, high - middle], color=colour, marker="o", ms=4, lw=1.2, capsize=2
    )
    return middle


if __name__ == "__main__":
    main()
