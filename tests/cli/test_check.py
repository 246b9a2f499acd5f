"""`sepvae check`: what it prints, its JSON and its status."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from sepvae.cli.app import app
from sepvae.errors import SepVAEError


def check(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", *map(str, arguments)], catch_exceptions=False)
    return result.exit_code, result.stdout


def codes_of(*arguments: object) -> tuple[int, set[str]]:
    status, printed = check(*arguments, "--json")
    return status, {finding["code"] for finding in json.loads(printed)["findings"]}


@pytest.fixture
def table(folder: Path, tmp_path: Path) -> Path:
    """A participants.tsv beside a copy of the images."""
    shutil.copytree(folder, tmp_path / "images")
    files = sorted((tmp_path / "images").rglob("*.png"))
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"participant_id": [f"sub-{i:02d}" for i in range(len(files))]})
    frame["file"] = [file.relative_to(tmp_path).as_posix() for file in files]
    frame["diagnosis"] = [file.parent.name for file in files]
    frame["age"] = np.where(frame["diagnosis"] == "patient", 60, 40) + rng.integers(-5, 6, len(files))
    frame.to_csv(tmp_path / "participants.tsv", sep="\t", index=False)
    return tmp_path / "participants.tsv"


TABLE = ["--images", "file", "--label", "diagnosis", "--subject", "participant_id"]


def test_a_sound_folder_passes(folder: Path) -> None:
    status, printed = check(folder, "--pattern", r"(?P<group>p\d+)", "--batch-size", 8)
    assert status == 0
    assert "would spoil a fit" in printed


def test_a_subject_that_is_named_counts_where_each_has_one_sample(table: Path) -> None:
    for column in ("participant_id", "file"):
        for names in (["--subject", column, "--id", column], ["--id", column]):
            found = codes_of(table, *TABLE[:4], *names)[1]
            assert ("no-groups" in found) == (names == ["--id", "file"])


def test_an_unreadable_image_spoils_a_fit(table: Path) -> None:
    broken = next((table.parent / "images" / "patient").iterdir())
    broken.write_bytes(broken.read_bytes()[:60])
    status, found = codes_of(table, *TABLE)
    assert (status, "unreadable" in found) == (1, True)


def test_age_that_goes_with_the_label_is_found(table: Path) -> None:
    status, printed = check(table, *TABLE, "--attribute", "age:continuous", "--json")
    confounds = [f["message"] for f in json.loads(printed)["findings"] if f["code"] == "confound"]
    assert any(message.startswith("age") for message in confounds)
    assert status == 0


def test_rows_without_a_file_and_files_without_a_row(table: Path) -> None:
    images = table.parent / "images" / "patient"
    first = sorted(images.iterdir())[0]
    first.rename(images / "other.png")
    status, found = codes_of(table, *TABLE)
    assert status == 1
    assert {"rows-without-file", "files-without-row"} <= found


def test_copies_on_both_sides_of_a_split_spoil_a_fit(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    files = sorted(folder.rglob("*.png"))
    for i, file in enumerate(files):
        for part in ["train", "test"] if i == 0 else ["train" if i % 4 else "test"]:
            copy = root / part / file.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
    status, found = codes_of(root)
    assert status == 1
    assert any(code.startswith("duplicates") for code in found)


def test_more_than_two_labels_need_a_word_for_the_background(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "three")
    (tmp_path / "three" / "other").mkdir()
    for i in range(30):
        pixels = np.random.default_rng(i).integers(0, 255, (20, 20)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "three" / "other" / f"q{i}.png")
    assert check(tmp_path / "three", "--batch-size", 8)[0] == 0
    assert (
        check(tmp_path / "three", "--background", "control", "--target", "other", "--batch-size", 8)[0] == 0
    )


def test_arrays_are_checked_too(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 255, size=(60, 1, 12, 12)).astype(np.uint8)
    x[1] = x[0]
    np.save(tmp_path / "x.npy", x)
    pd.DataFrame({"dx": ["hc", "scz"] * 30}).to_csv(tmp_path / "x.csv", index=False)
    status, found = codes_of(tmp_path / "x.npy", "--label", "dx")
    assert any(code.startswith("duplicates") for code in found)
    assert status == 1  # the same image has both labels


def test_an_option_that_means_nothing_is_refused(folder: Path) -> None:
    with pytest.raises(SepVAEError, match="is a folder, for which --label has no meaning"):
        check(folder, "--label", "diagnosis")


def test_it_starts_without_torch(folder: Path) -> None:
    code = "import sys; from sepvae.cli.app import app; "
    code += f"app(['check', {str(folder)!r}, '--batch-size', '8'], standalone_mode=False); "
    code += "sys.exit('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "samples" in result.stdout


@pytest.mark.slow
@pytest.mark.real_data
def test_kermany_differs_in_shape_and_holds_copies(real_data: Path) -> None:
    status, printed = check(real_data / "kermany96" / "chest_xray", "--json")
    found = json.loads(printed)["findings"]
    assert any(f["code"] == "image-confound" and "anisotropy" in f["message"] for f in found)
    assert sum(f["numbers"]["extra"] for f in found if f["code"].startswith("duplicates")) == 26
    assert status == 0
