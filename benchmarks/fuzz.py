"""
Read files that were damaged in thousands of ways: each must give samples, or one of our errors in one line.

A sound file of each format is made, then changed at random: bits, bytes, runs and cuts anywhere, and fields
of headers, cells and values set to extremes. It is read as `sepvae fit` reads it, in a process with little
memory and a time limit. Anything but a sample or one line of our own is a fault, and its file is kept.

    python benchmarks/fuzz.py --files 10000 --seed 0 --keep faults
"""

import argparse
import gzip
import multiprocessing
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
from PIL import Image

from sepvae.cli.pack import pack_table
from sepvae.data.opening import list_data
from sepvae.data.reading import measure_listing, read_listing
from sepvae.errors import SepVAEError
from sepvae.recipes import load_recipe, recipe_text

SECONDS, MEMORY = 20, 3 << 30  # for one file; beyond what the process has at its start
BATCH = 50  # files a process
IMAGES = ("png", "jpg", "gif", "bmp", "tif", "webp")
EXTREME = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
WORDS = (
    *(
        "",
        " ",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "1e999",
        "-1",
        "0",
        "1e308",
        "99999999999999999999",
        "None",
        "null",
        "true",
    ),
    *(
        '"',
        "'",
        "\n",
        "\r",
        "\t",
        ",",
        ";",
        "\0",
        "\ufeff",
        "\u202e",
        "{",
        "}",
        "[",
        "]",
        "&a",
        "*a",
        "!!python/object:os.system",
    ),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "a" * 5000,
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    ),
)
Change = Callable[[np.random.Generator, bytes], bytes]


def make_sound(folder: Path) -> dict[str, Path]:
    """A file or folder of each format, by the name of the format."""
    rng = np.random.default_rng(0)
    made = {}
    for kind in IMAGES:
        made[kind] = folder / kind / "x" / f"image.{kind}"
        made[kind].parent.mkdir(parents=True)
        mode = "RGB" if kind in ("jpg", "webp", "bmp") else "L"
        shape = (20, 24, 3) if mode == "RGB" else (20, 24)
        Image.fromarray(rng.integers(0, 256, size=shape, dtype=np.uint8)).save(made[kind])
        other = made[kind].parents[1] / "y" / made[kind].name  # of the other label, and sound
        other.parent.mkdir()
        shutil.copy(made[kind], other)
    table = pd.DataFrame({"participant_id": ["sub-1", "sub-2"], "dx": ["hc", "ad"], "age": [61.5, 70.25]})
    for kind in ("nii", "nii.gz"):
        home = folder / kind
        home.mkdir()
        table.assign(path=[f"{id_}.{kind}" for id_ in table["participant_id"]]).to_csv(
            home / "t.tsv", sep="\t", index=False
        )
        for i, id_ in enumerate(table["participant_id"]):
            volume = rng.normal(size=(6, 7, 5)).astype(np.float32 if i else np.int16)
            nibabel.save(nibabel.Nifti1Image(volume, np.diag([2.0, 2, 2, 1])), home / f"{id_}.{kind}")
        made[kind] = home / f"sub-1.{kind}"
    made["zarr"] = folder / "store.zarr"
    list(pack_table(folder / "nii" / "t.tsv", made["zarr"], images="path", root=None, resample=False))
    made["csv"] = folder / "regions" / "t.csv"
    made["csv"].parent.mkdir()
    measures = pd.DataFrame(rng.normal(size=(6, 3)).round(3), columns=["m1", "m2", "m3"])
    measures.assign(id=list("abcdef"), dx=["hc", "ad"] * 3, age=range(60, 66)).to_csv(
        made["csv"], index=False
    )
    for kind in ("npy", "npz"):
        made[kind] = folder / kind / f"x.{kind}"
        made[kind].parent.mkdir()
        array = rng.normal(size=(6, 4)).astype(np.float32)
        np.save(made[kind], array) if kind == "npy" else np.savez(made[kind], x=array)
        pd.DataFrame({"dx": ["hc", "ad"] * 3}).to_csv(made[kind].with_suffix(".csv"), index=False)
    made["yaml"] = folder / "recipe.yaml"
    made["yaml"].write_text(recipe_text("pneumonia"))
    return made


def read(kind: str, file: Path) -> None:
    """Read a file as the commands do."""
    if kind == "yaml":
        load_recipe(file)
        return
    options: dict[str, Any] = {"data": file, "label": "dx"}
    if kind in IMAGES:
        options = {"data": file.parents[1]}
    elif kind.startswith("nii"):
        options |= {"data": file.parent / "t.tsv", "images": "path"}
    elif kind == "csv":
        options |= {"features": ["m*"], "id": "id", "attributes": {"age": None}}
    listing, _ = list_data(**options, two_labels=False)
    source, _ = read_listing(listing, image_size=16 if kind in IMAGES else None)
    source.take(np.arange(len(source)))
    if kind in IMAGES:
        measure_listing(listing)


def bits(rng: np.random.Generator, content: bytes) -> bytes:
    changed = bytearray(content)
    for place in rng.integers(0, max(len(changed), 1), size=rng.integers(1, 9)) if changed else ():
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def run(rng: np.random.Generator, content: bytes) -> bytes:
    """A run of bytes: random ones, a copy of another run, or none."""
    a, b = sorted(rng.integers(0, len(content) + 1, size=2).tolist())
    c, d = sorted(rng.integers(0, len(content) + 1, size=2).tolist())
    new = (rng.bytes(int(rng.integers(1, 65))), content[c:d], b"")[int(rng.integers(3))]
    return content[:a] + new + content[b:]


def cut(rng: np.random.Generator, content: bytes) -> bytes:
    return content[: int(rng.integers(0, len(content) + 1))]


def twice(rng: np.random.Generator, content: bytes) -> bytes:
    return content + content[int(rng.integers(0, len(content) + 1)) :]


def number(rng: np.random.Generator, content: bytes) -> bytes:
    """An extreme number, of 1 to 8 bytes, somewhere near the start."""
    size = int(rng.choice([1, 2, 4, 8]))
    value = int(rng.choice(np.array(EXTREME, dtype=object))) % 256**size
    place = int(rng.integers(0, min(len(content), 400) + 1))
    packed = value.to_bytes(size, str(rng.choice(["little", "big"])))
    return content[:place] + packed + content[place + size :]


def word(rng: np.random.Generator, content: bytes) -> bytes:
    """A word, a cell or a value that is none, at some separator."""
    places = [i for i, byte in enumerate(content) if byte in b',:\n\t "[]{}'] or [0]
    a = int(rng.choice(places)) + 1
    later = [i for i in places if i >= a][: int(rng.integers(1, 4))]
    new = str(rng.choice(np.array(WORDS, dtype=object))).encode("utf-8", "surrogatepass")
    return content[:a] + new + content[later[-1] if later else a :]


def nifti(rng: np.random.Generator, content: bytes) -> bytes:
    """A field of a NIfTI header, set to an extreme of its type."""
    fields = [(0, "i"), *((40 + 2 * i, "h") for i in range(8)), (70, "h"), (72, "h"), (252, "h"), (254, "h")]
    fields += [(76 + 4 * i, "f") for i in range(8)] + [(108, "f"), (112, "f"), (116, "f")]
    fields += [(256 + 4 * i, "f") for i in range(18)] + [(344, "i")]
    changed = bytearray(content)
    if len(changed) < 348:
        return content
    for _ in range(int(rng.integers(1, 4))):
        place, kind = fields[int(rng.integers(len(fields)))]
        extremes = {"h": [-32768, -1, 0, 1, 4, 64, 16384, 32767], "i": [-(2**31), -1, 0, 540, 2**31 - 1]}
        floats = [float("nan"), float("inf"), -1.0, 0.0, 1e-38, 1e38, 3e9]
        struct.pack_into(f"<{kind}", changed, place, rng.choice(extremes.get(kind, floats)))
    return bytes(changed)


def compressed(change: Change) -> Change:
    """Change what is within gzip, where it is sound still."""

    def changed(rng: np.random.Generator, content: bytes) -> bytes:
        try:
            return gzip.compress(change(rng, gzip.decompress(content)), 1)
        except (OSError, EOFError, zlib.error):
            return content

    return changed


ANY: list[Change] = [bits, run, cut, twice, number]
TEXT: list[Change] = [bits, run, cut, twice, word, word, word]
CHANGES: dict[str, list[Change]] = dict.fromkeys(IMAGES, ANY) | {
    "nii": [*ANY, nifti, nifti, nifti],
    "nii.gz": [*ANY, compressed(nifti), compressed(nifti), compressed(cut), compressed(run)],
    "zarr": [*ANY, word, word],
    "csv": TEXT,
    "npy": [*ANY, word],
    "npz": [*ANY, word],
    "yaml": TEXT,
}


def tried(kind: str, file: Path) -> str:
    """What becomes of a file: read, refused, or a fault in words."""
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read(kind, file)
    except SepVAEError as error:
        return (
            "refused"
            if "\n" not in str(error) and len(str(error)) < 2000
            else f"fault: not one line: {error}"
        )
    except BaseException as error:
        return f"fault: {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    return "read"


def late(*_: object) -> None:
    raise TimeoutError(f"took more than {SECONDS} s")


def try_batch(kind: str, seed: int, n: int, keep: Path | None) -> list[str]:
    """Change and read some files, in a process of its own."""
    signal.signal(signal.SIGALRM, late)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, in_use + MEMORY))
    found = []
    with tempfile.TemporaryDirectory() as name:
        sound = make_sound(Path(name))[kind]
        files = sorted(path for path in sound.rglob("*") if path.is_file()) if sound.is_dir() else [sound]
        contents = [file.read_bytes() for file in files]
        read(kind, sound)
        for i in range(n):
            rng = np.random.default_rng([seed, i])
            k = int(rng.integers(len(files)))
            content = contents[k]
            for _ in range(int(rng.integers(1, 3))):
                content = CHANGES[kind][int(rng.integers(len(CHANGES[kind])))](rng, content)
            files[k].write_bytes(content)
            found.append(tried(kind, sound))
            if keep is not None and found[-1].startswith("fault"):
                keep.mkdir(exist_ok=True)
                shutil.copy(files[k], keep / f"{kind}-{seed}-{i}-{files[k].name}")
            files[k].write_bytes(contents[k])
    return found


def main() -> None:
    """Print what became of the files, by format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(CHANGES), help="one format")
    parser.add_argument("--keep", type=Path, help="folder for files that are faults")
    asked = parser.parse_args()
    started, kinds = time.monotonic(), [asked.only] if asked.only else list(CHANGES)
    batches = [
        (kinds[b % len(kinds)], asked.seed * 10**6 + b, BATCH, asked.keep)
        for b in range(asked.files // BATCH)
    ]
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    faults: list[str] = []
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        waiting = [(kind, pool.apply_async(try_batch, batch)) for batch in batches for kind in batch[:1]]
        for kind, result in waiting:
            try:
                found = result.get(timeout=SECONDS * BATCH)
            except multiprocessing.TimeoutError:
                found = ["fault: the process died"]
            for one in found:
                counts[kind][one.partition(":")[0]] += 1
                if one.startswith("fault"):
                    faults.append(f"{kind}: {one[:300]}")
                    print(faults[-1], flush=True)
    print("\n| format | files | read | refused in one line | faults |\n|---|---|---|---|---|")
    for kind, count in counts.items():
        print(f"| {kind} | {count.total()} | {count['read']} | {count['refused']} | {count['fault']} |")
    total = sum(count.total() for count in counts.values())
    print(f"\n{total} files, {len(faults)} faults, {(time.monotonic() - started) / 60:.1f} min")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
