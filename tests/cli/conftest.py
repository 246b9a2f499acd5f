"""A small folder of images, and a run fitted on it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sepvae.cli.app import app

QUICK = ["--image-size", "16", "--permutations", "19", "--set", "max_epochs=2", "--set", "progress_bar=false"]
QUICK += [
    "--set",
    "common_dim=2",
    "--set",
    "salient_dim=2",
    "--set",
    "accelerator=cpu",
    "--set",
    "batch_size=8",
]
PATTERN = r"(?P<group>p\d+)_(?P<kind>left|right)"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Controls: noise. Patients: noise with a bright half, left or right; two images of each."""
    root, rng = tmp_path_factory.mktemp("data") / "faces", np.random.default_rng(0)
    for i in range(80):
        pixels = rng.integers(0, 120, size=(20, 20))
        patient, left = i % 2 == 1, i % 4 == 1
        if patient:
            pixels[:, :10] += 100 * left
            pixels[:, 10:] += 100 * (not left)
        path = (
            root
            / ("patient" if patient else "control")
            / f"p{i // 4:02d}_{'left' if left else 'right'}_{i}.png"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


@pytest.fixture(scope="session")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    result = CliRunner().invoke(
        app, ["fit", str(folder), "--out", str(out), "--pattern", PATTERN, "--removal", *QUICK]
    )
    assert result.exit_code == 0, result.output
    return out
