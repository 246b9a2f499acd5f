"""What a fit or a benchmark leaves behind names no folder, user or machine, in no byte of no file."""

import base64
import getpass
import gzip
import io
import re
import socket
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sepvae.benchmark.folder import without_folders
from sepvae.cli.fitting import typed_command
from sepvae.run_folder import RunFolder

from .helpers import invoke, sets

USER, FREE_TEXT = "jane.doe", ("descrip", "aux_file", "db_name", "intent_name")
CODES = ("utf-8", "utf-16-le", "utf-32-le")  # the last is numpy's
QUICK = [*sets(common_dim=2, salient_dim=1), "--permutations", "0"]
RECIPE = """
title: Small images
reader: folder
data: {image_size: 16}
protocol:
  test_size: 0.25
  contenders: [ContrastivePCA, SepVAE]
  columns: [{title: d, attribute: label, population: all, space: salient, metric: auc, better: high}]
methods:
  ContrastivePCA: {default: {common_dim: 2, salient_dim: 1}}
  SepVAE: {default: {common_dim: 2, salient_dim: 1, max_epochs: 1, batch_size: 16}}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a user who keeps all that a fit needs below her own folder."""
    home = tmp_path_factory.mktemp("disk") / "home" / USER
    (home / "pictures").mkdir(parents=True)
    (home / "recipe.yaml").write_text(RECIPE)
    return home


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    """Run a command, as the user who typed it."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, USER)
    monkeypatch.setattr(socket, "gethostname", lambda: f"pc-of-{USER}")

    def run(*words: object, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["sepvae", *map(str, words)])
        return invoke(*words, status=status)

    return run


@pytest.fixture(scope="module")
def folder(home: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(40):
        file = home / "pictures" / ("well", "ill")[i % 2] / f"p{i}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8)).save(file)
    return home / "pictures"


def unpacked(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """A file, and all that is packed in it: members of archives, chunks of PNG, images within a page."""
    yield name, content
    if content.startswith(b"\x1f\x8b"):
        yield from unpacked(f"{name}, unpacked", gzip.decompress(content))
    elif content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                yield f"{name}: {member.filename}", member.filename.encode() + member.comment
                yield from unpacked(f"{name}: {member.filename}", archive.read(member))
    elif content.startswith(b"\x89PNG"):
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            yield f"{name}: text", repr(image.info).encode()
    elif content.startswith((b"<", b"\n<")):
        for data in re.findall(rb"data:image/\w+;base64,([\w+/=\s]+)", content):
            yield from unpacked(f"{name}: image", base64.b64decode(data))


def see_that_nobody_is_named(out: Path, home: Path) -> list[str]:
    """Look for folders, users and machines; give the files that were looked at."""
    words = [USER, str(home), str(home.parent.parent), str(Path.cwd()), f"{Path.home()}/", sys.prefix]
    words += [word for word in (getpass.getuser(), socket.gethostname(), Path.home().name) if len(word) > 5]
    files = sorted(path for path in out.rglob("*") if path.is_file())
    told = [
        f"{part} tells {word!r}"
        for file in files
        for part, content in unpacked(file.name, file.read_bytes())
        for word in words
        if any(word.encode(code) in content for code in CODES)
    ]
    assert told == []
    return [file.relative_to(out).as_posix() for file in files]


@pytest.mark.slow
def test_a_run_of_images_names_nobody(home: Path, folder: Path, typed) -> None:
    out = home / "runs" / "run"
    split = pd.DataFrame({"id": [file.relative_to(folder).as_posix() for file in folder.rglob("*.png")]})
    split.assign(split=["train", "train", "train", "test"] * 10).to_csv(home / "split.csv", index=False)
    how = ["--recipe", home / "recipe.yaml", f"--split={home / 'split.csv'}", "--set", "progress_bar=false"]
    typed("fit", folder, "--out", out, *how, "--set=accelerator=cpu", *QUICK)
    typed("evaluate", out, "--permutations", "0")
    typed("report", out)
    typed("maps", out, folder, "--out", out / "maps-again")
    files = see_that_nobody_is_named(out, home)
    wanted = {"recipe.yaml", "model/model.json", "metrics.csv", "report.html", "examples.npz"}
    assert wanted | {"maps/maps.csv", "figures/codes_label.svg"} <= set(files)


@pytest.mark.slow
def test_a_run_of_a_table_of_images_names_nobody(home: Path, folder: Path, typed) -> None:
    files = sorted(folder.rglob("*.png"))
    table = pd.DataFrame({"file": files, "dx": [file.parent.name for file in files]})
    table.to_csv(home / "table.csv", index=False)
    how = ["--images", "file", "--label", "dx", f"--root={folder}", "--image-size", "8"]
    out = home / "runs" / "table"
    typed("fit", home / "table.csv", f"--out={out}", *how, "--method", "ContrastivePCA", *QUICK)
    see_that_nobody_is_named(out, home)
    assert pd.read_csv(out / "codes.csv")["id"].isin([f"{f.parent.name}/{f.name}" for f in files]).all()


@pytest.mark.slow
def test_a_run_of_volumes_names_nobody_and_copies_no_words_of_their_headers(home: Path, typed) -> None:
    rng, people = np.random.default_rng(0), home / "volumes"
    people.mkdir()
    table = pd.DataFrame({"participant_id": [f"s{i}" for i in range(24)], "dx": ["hc", "scz"] * 12})
    for name in (*table["participant_id"], "mask"):
        brain = np.pad(np.ones((5, 6, 6)), ((1, 0), (0, 0), (0, 0)))
        voxels = brain if name == "mask" else rng.normal(size=(6, 6, 6))
        image = nib.Nifti1Image(voxels.astype(np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
        for field in FREE_TEXT:
            image.header[field] = USER
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", f"{home}".encode()))
        image.to_filename(people / f"{name}.nii.gz")
    table.to_csv(people / "participants.tsv", sep="\t", index=False)
    out = home / "runs" / "volumes"
    how = ["--images", "{participant_id}.nii.gz", "--label", "dx", "--root", people, "--background", "hc"]
    how += ["--mask", people / "mask.nii.gz", "--method", "ContrastivePCA"]
    typed("fit", people / "participants.tsv", "--out", out, *how, *QUICK)
    see_that_nobody_is_named(out, home)
    for file in (out / "maps").glob("*.nii.gz"):
        header = nib.Nifti1Image.from_filename(file).header
        assert not any(bytes(header[field].tobytes()).strip(b"\0") for field in FREE_TEXT)
        assert not header.extensions


@pytest.mark.parametrize(
    ("word", "kept"),
    [("--set=network=/home/jane/net", "--set=network=net"), ("--set=a=b=/c/d", "--set=a=b=d")],
)
def test_typed_paths_lose_their_folders(word: str, kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["sepvae", "fit", "--root=../data", word])
    assert typed_command() == ["sepvae", "fit", "--root=../data", kept]


@pytest.mark.slow
def test_a_template_of_files_keeps_no_folder(home: Path, folder: Path, typed) -> None:
    table = pd.DataFrame({"n": [f.name for f in folder.rglob("*.png")], "dx": ["a", "b"] * 20})
    table.assign(of=[f.parent.name for f in folder.rglob("*.png")]).to_csv(home / "t.csv", index=False)
    out, template = home / "runs" / "template", str(folder / "{of}" / "{n}")
    how = ["--label", "dx", "--root", folder, "--image-size", "8", "--method", "ContrastivePCA", *QUICK]
    typed("fit", home / "t.csv", "--out", out, "--images", template, *how)
    assert RunFolder(out).recipe.required()["data"]["images"] == "{of}/{n}"
    see_that_nobody_is_named(out, home)
    typed("encode", out, home / "t.csv", "--out", home / "codes.csv", "--root", folder)


def test_a_benchmark_names_nobody_though_cells_fail(
    home: Path, folder: Path, typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(home / "a folder" / "weights"))

    monkeypatch.setattr("sepvae.methods.SepVAE.fit_encode", fail)
    out = home / "runs" / "benchmark"
    said = typed("benchmark", folder, "--recipe", home / "recipe.yaml", "--out", out, status=1)
    files = see_that_nobody_is_named(out, home)
    assert "failed: SepVAE (default), seed 0: OSError: [Errno 28] No space left on device: 'weights'" in said
    assert {"results.csv", "table.md", "cells/SepVAE-default-seed0/traceback.txt"} <= set(files)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("/mnt/Jane Doe/p1.png: is empty", "p1.png: is empty"),
        ("cannot read '/srv/jane/x.nii.gz' (gone)", "cannot read 'x.nii.gz' (gone)"),
        (r"C:\Users\jane\p1.png: is empty", "p1.png: is empty"),
        (f"{Path.home()}: is full", "~: is full"),
        (f'File "{sys.prefix}/lib/x/y.py", line 3', 'File "lib/x/y.py", line 3'),
        ("wanted 3/4 of it, and/or a - b / c", "wanted 3/4 of it, and/or a - b / c"),
        ("see https://example.org/a/b/c", "see https://example.org/a/b/c"),
    ],
)
def test_errors_keep_names_of_files_without_their_folders(text: str, cleaned: str) -> None:
    assert without_folders(text) == cleaned


def test_the_search_finds_what_is_packed() -> None:
    packed = io.BytesIO()
    np.savez_compressed(packed, names=np.array([USER]))
    inner = gzip.compress(packed.getvalue())
    found = dict(unpacked("a.gz", inner))
    assert USER.encode("utf-32-le") in b"".join(found.values())
    assert zlib.crc32(found["a.gz"]) == zlib.crc32(inner)
