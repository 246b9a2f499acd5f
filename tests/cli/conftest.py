"""A small folder of images, a table of regions, and a run fitted on each."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ..helpers import invoke, linear, quick_sets, short_judges, without_figures

QUICK = ["--image-size", "16", "--permutations", "19", *quick_sets(max_epochs=2, batch_size=8)]
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
    """A run of images, for tests that only read it."""
    out = tmp_path_factory.mktemp("runs") / "run"
    with short_judges():
        invoke("fit", folder, "--out", out, "--pattern", PATTERN, "--removal", *QUICK)
    return out


@pytest.fixture(scope="session")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of measures of 60 people, with an age, a site and one column more."""
    rng, file = np.random.default_rng(0), tmp_path_factory.mktemp("regions") / "regions.csv"
    frame = pd.DataFrame(rng.normal(size=(60, 4)), columns=["lh_a", "lh_b", "lh_c", "rh_a"])
    frame["age"], frame["ag"], frame["site"] = rng.uniform(20, 60, 60), ["x", "y"] * 30, [1, 2] * 30
    frame.assign(dx=["hc", "mdd"] * 30, participant_id=[f"p{i}" for i in range(60)]).to_csv(file, index=False)
    return file


@pytest.fixture(scope="session")
def regions_run(regions: Path) -> Path:
    """A linear run of that table without its age, for tests that only read it."""
    out = regions.parent / "run"
    attributes = ["--attribute", "ag", "--attribute", "age:continuous", "--attribute", "site"]
    columns = ["--features", "lh_*", "--label", "dx", "--background", "hc", *attributes]
    with without_figures():
        invoke("fit", regions, "--out", out, *columns, *linear(residualise="age"))
    return out
