"""
Read files with random damage: each must give samples, or an error of `sepvae` in one line.

A valid file of each format is made, then changed at random: bits, bytes, runs and cuts anywhere, fields of
headers, cells and values set to extremes; often with checksums and compression made valid again. It is read
as `sepvae fit` and `sepvae check` read it, in a process with a time limit and a memory limit. Every other
outcome than a sample, or one line that names the file, is a fault, and so is a warning; its file is kept.

    python benchmarks/fuzz.py --files 10000 --seed 0 --keep faults
"""

import argparse
import gzip
import json
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
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import google_crc32c
import nibabel
import numcodecs
import numpy as np
import pandas as pd
from PIL import Image
from rich.console import Console
from rich.progress import track

from sepvae.cli.preparing import pack_table
from sepvae.data.images import measure_images
from sepvae.data.loading import list_data, read_manifest
from sepvae.data.volumes import measure_volumes
from sepvae.errors import SepVAEError
from sepvae.recipes import load_recipe
from sepvae.recipes.recipe import recipe_text

SECONDS, MEMORY = 20, 3 << 30  # for one file; beyond what the process has at its start
BATCH, PROCESSES = 50, 2  # files a process
SWALLOWED = ("MemoryError", "Unable to allocate", "took more than")  # signs of a fault in a line of ours
IMAGES = ("png", "jpg", "gif", "bmp", "tif", "webp")
EXTREME = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
WORDS = (
    *("", " ", "nan", "NaN", "inf", "-inf", "1e999", "-1", "0", "1e308", "99999999999999999999", "None"),
    *("null", "true", "2001-99-99", "0x", "9" * 5000, "a" * 5000, "../../etc/passwd", "/etc/passwd", "n/a"),
    *('"', "'", "\n", "\r", "\t", ",", ";", "\0", "\ufeff", "\u202e", "\u2028", "{", "}", "[", "]", "(", "<"),
    *("&a", "*a", "<<: *a", "!!python/object/apply:os.system ['true']", "!!bool x", "!!timestamp x"),
    *("!!int ''", "!!binary x", "? [a]", "\\ud800", "\\N", "\U0001f600", "- - - -", "|O", "<f16", "True"),
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
    for kind, image in (("table of images", "png"), ("table of volumes", "nii")):
        made[kind] = folder / kind / "t.tsv"
        made[kind].parent.mkdir()
        files = [made["png"], made["png"].parents[1] / "y" / "image.png"]
        files = (
            files if image == "png" else [folder / "nii" / f"{id_}.nii" for id_ in table["participant_id"]]
        )
        for id_, file in zip(table["participant_id"], files, strict=True):
            shutil.copy(file, made[kind].with_name(f"{id_}.{image}"))
        names = [f"{id_}.{image}" for id_ in table["participant_id"]]
        table.assign(path=names).to_csv(made[kind], sep="\t", index=False)
    made["brats"] = folder / "brats" / "BraTS20_Training_001" / "BraTS20_Training_001_flair.nii.gz"
    made["brats"].parent.mkdir(parents=True)
    brain = np.zeros((16, 16, 10), dtype=np.int16)
    brain[3:13, 3:13, 2:9] = rng.integers(100, 900, size=(10, 10, 7))
    nibabel.save(nibabel.Nifti1Image(brain, np.diag([-1.0, -1, 1, 1])), made["brats"])
    tumour = nibabel.Nifti1Image((brain > 800).astype(np.uint8), np.diag([-1.0, -1, 1, 1]))
    nibabel.save(tumour, made["brats"].with_name("BraTS20_Training_001_seg.nii.gz"))
    made["celeba"] = folder / "celeba" / "list_attr_celeba.csv"
    (folder / "celeba" / "img_align_celeba").mkdir(parents=True)
    faces = pd.DataFrame({"image_id": [f"{i}.jpg" for i in range(4)], "Eyeglasses": [-1, 1] * 2})
    faces.assign(Wearing_Hat=-1, Male=[1, 1, -1, -1]).to_csv(made["celeba"], index=False)
    for name in faces["image_id"]:
        shutil.copy(made["jpg"], folder / "celeba" / "img_align_celeba" / name)
    made["yaml"] = folder / "recipe.yaml"
    made["yaml"].write_text(recipe_text("pneumonia"))
    return made


def read(kind: str, file: Path) -> None:
    """Read a file as the commands do: `fit`, then `check`."""
    if kind == "yaml":
        load_recipe(file)
        return
    options: dict[str, Any] = {"data": file, "label": "dx"}
    if kind in IMAGES or kind in ("brats", "celeba"):
        options = {"data": file.parents[kind != "celeba"]}
    elif kind.startswith("nii") or kind.startswith("table"):
        options |= {"data": file.parent / "t.tsv", "images": "path", "attributes": {"age": None}}
    elif kind == "csv":
        options |= {"features": ["m*"], "id": "id", "attributes": {"age": None}}
    manifest = list_data(**options, two_labels=False)
    if manifest.volumes is not None and len(manifest.missing) == 0:
        measure_volumes(manifest)
    elif len(manifest.files):
        measure_images(manifest)
    source, _ = read_manifest(manifest, image_size=16 if len(manifest.files) else None)
    source.take(np.arange(len(source)))


def bits(rng: np.random.Generator, content: bytes) -> bytes:
    changed = bytearray(content)
    for place in rng.integers(0, max(len(changed), 1), size=rng.integers(1, 9)) if changed else ():
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def run(rng: np.random.Generator, content: bytes) -> bytes:
    """A run of bytes: random ones, a copy of another run, or none."""
    a, b = sorted(rng.integers(0, len(content) + 1, size=2).tolist())
    b = b if rng.random() < 0.5 else min(b, a + 16)  # small changes come further
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


def png(change: Change) -> Change:
    """Change what is in a PNG, where the checksums are sound still, and what is compressed is often."""

    def changed(rng: np.random.Generator, content: bytes) -> bytes:
        out, rest = content[:8], content[8:]
        while len(rest) >= 12:
            size, name = struct.unpack(">I4s", rest[:8])
            part, rest = rest[8 : 8 + size], rest[12 + size :]
            if rng.random() < 0.5:
                try:
                    part = zlib.compress(change(rng, zlib.decompress(part)))
                except zlib.error:
                    part = change(rng, part)
            out += struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
        return out

    return changed


def json_value(rng: np.random.Generator, content: bytes) -> bytes:
    """A value somewhere in JSON, set to something else; or none."""
    try:
        about = json.loads(content)
    except ValueError:
        return content
    place: Any = about
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return content
        key = keys[int(rng.integers(len(keys)))]
        if isinstance(place[key], dict | list) and rng.random() < 0.8:
            place = place[key]
            continue
        others = [*EXTREME, -1, 1e308, float("nan"), None, True, [], {}, [[]], "x", "\ud800", "gzip", place]
        value = others[int(rng.integers(len(others)))]
        if value is place:
            del place[key]
        else:
            place[key] = value
        return json.dumps(about).encode()


def checked(change: Change) -> Change:
    """Change what is in a chunk of a store, where compression and checksum are sound still."""

    def changed(rng: np.random.Generator, content: bytes) -> bytes:
        part, codec = content[:-4], numcodecs.Zstd() if content.startswith(b"\x28\xb5") else numcodecs.Blosc()
        try:
            new = codec.encode(change(rng, codec.decode(part))) if rng.random() < 0.8 else change(rng, part)
        except (RuntimeError, ValueError):
            new = change(rng, part)
        return bytes(new) + google_crc32c.value(bytes(new)).to_bytes(4, "little")

    return changed


ANY: list[Change] = [bits, run, cut, twice, number]
TEXT: list[Change] = [bits, run, cut, twice, word, word, word]
WITHIN = [compressed(nifti), compressed(nifti), compressed(cut), compressed(run), compressed(bits)]
CHANGES: dict[str, list[Change]] = dict.fromkeys(IMAGES, ANY) | {
    "png": [*ANY, png(bits), png(number), png(number), png(run)],
    "nii": [*ANY, nifti, nifti, nifti],
    "nii.gz": [*ANY, *WITHIN],
    "zarr": [*ANY, word, *[json_value] * 4, *[checked(json_value), checked(number), checked(bits)] * 2],
    "csv": TEXT,
    "table of images": TEXT,
    "table of volumes": TEXT,
    "npy": [*ANY, word, word],
    "npz": [*ANY, word, word],
    "brats": [*ANY, *WITHIN],
    "celeba": TEXT,
    "yaml": TEXT,
}


def tried(kind: str, file: Path) -> str:
    """What becomes of a file: read, refused, or a fault in words."""
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            read(kind, file)
        result = "read"
    except SepVAEError as error:
        said, result = str(error), "refused"
        if "\n" in said or len(said) > 2000 or any(sign in said for sign in SWALLOWED):
            return f"fault: {said}"
        if str(file.parents[kind in IMAGES]) not in said:
            return f"fault: names no file: {said}"
    except BaseException as error:
        return f"fault: {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    return f"fault: warns: {warned[0].message}" if warned else result


def late(*_: object) -> None:
    raise TimeoutError(f"took more than {SECONDS} s")


def try_files(kind: str, seed: int, n: int, keep: Path | None, tell: Connection) -> None:
    """Change and read some files, in a process of its own; tell of each, and of the memory that it took."""
    signal.signal(signal.SIGALRM, late)
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    at_start = memory(status)
    with tempfile.TemporaryDirectory() as name:
        sound = make_sound(Path(name))[kind]
        files = sorted(path for path in sound.rglob("*") if path.is_file()) if sound.is_dir() else [sound]
        contents = [file.read_bytes() for file in files]
        read(kind, sound)
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, in_use + MEMORY))
        for i in range(n):
            rng = np.random.default_rng([seed, i])
            k = int(rng.integers(len(files)))
            content = contents[k]
            for _ in range(int(rng.integers(1, 3))):
                content = CHANGES[kind][int(rng.integers(len(CHANGES[kind])))](rng, content)
            files[k].write_bytes(content)
            if keep is not None:  # before it is read, which may kill the process
                kept = keep / f"{kind}-{seed}-{i}-{files[k].name}".replace(" ", "-")
                shutil.copy(files[k], kept)
            clear.write_text("5")  # the peak of memory is counted anew
            found = tried(kind, sound)
            tell.send((found, max(0, memory(status) - at_start)))
            if keep is not None and not found.startswith("fault"):
                kept.unlink()
            files[k].write_bytes(contents[k])


def memory(status: Path) -> int:
    """The peak, in MB."""
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1000


def try_batch(batch: tuple[str, int, int, Path | None]) -> tuple[str, list[tuple[str, int]]]:
    """What became of the files of one process, whatever became of it."""
    receive, send = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("fork")
    process = context.Process(target=try_files, args=(*batch, send), daemon=True)
    process.start()
    send.close()
    found = list(told_by(receive))
    if len(found) < batch[2]:
        process.kill()
        found.append((f"fault: file {len(found)} of {batch[1]} killed the process, or held it", 0))
    process.join()
    return batch[0], found


def told_by(receive: Connection) -> Iterator[tuple[str, int]]:
    """What a process tells, until it is done, dies or is silent."""
    try:
        while receive.poll(3 * SECONDS):
            yield receive.recv()
    except EOFError:
        return


def main() -> None:
    """Print what became of the files, by format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(CHANGES), help="one format")
    parser.add_argument("--keep", type=Path, help="folder for files that are faults")
    asked = parser.parse_args()
    started, kinds = time.monotonic(), [asked.only] if asked.only else list(CHANGES)
    if asked.keep is not None:
        asked.keep.mkdir(exist_ok=True)
    batches = [
        (kinds[b % len(kinds)], asked.seed * 10**6 + b, BATCH, asked.keep)
        for b in range(-(-asked.files // BATCH))
    ]
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    peaks: defaultdict[str, int] = defaultdict(int)
    faults, console = 0, Console(stderr=True)
    with ThreadPoolExecutor(PROCESSES) as pool:
        done = pool.map(try_batch, batches)
        for kind, found in track(done, "Reading", len(batches), console=console):
            for one, peak in found:
                counts[kind][one.partition(":")[0]] += 1
                peaks[kind] = max(peaks[kind], peak)
                if one.startswith("fault"):
                    faults += 1
                    console.print(f"{kind}: {one[:300]}", markup=False)
    print("\n| format | files | read | refused in one line | faults | most memory, MB |")
    print("|---|---|---|---|---|---|")
    for kind, count in counts.items():
        told = " | ".join(str(n) for n in (count.total(), count["read"], count["refused"], count["fault"]))
        print(f"| {kind} | {told} | {peaks[kind]} |")
    total = sum(count.total() for count in counts.values())
    print(f"\n{total} files, {faults} faults, {(time.monotonic() - started) / 60:.1f} min")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
