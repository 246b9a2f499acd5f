"""Runs of images, volumes and a table, each with the data that it was fitted and tested on."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from sepvae import SepVAE
from sepvae.data import ArraySource
from sepvae.explore.run import ExploredRun
from sepvae.runs import fit_run
from sepvae.runs.new_data import Samples

from ..helpers import quick, table_source, without_figures


class Fitted(NamedTuple):
    """A run folder, and its data."""

    path: Path
    samples: Samples

    def explored(self, *, data: bool = True) -> ExploredRun:
        return ExploredRun(self.path, self.samples if data else None)


def pictures(seed: int, *shape: int) -> ArraySource:
    """60 people with an age and a sex; patients are brighter in the first half."""
    rng, n = np.random.default_rng(seed), 60
    x = rng.random((n, 1, *shape)).astype(np.float32) / 2
    x[1::2, :, : shape[0] // 2] += 0.5
    about = pd.DataFrame({"age": rng.normal(50, 9, n), "sex": rng.choice(["F", "M"], n)})
    return ArraySource(x, ["well", "ill"] * (n // 2), ids=[f"{seed}-{i}" for i in range(n)], attributes=about)


def fit(out: Path, train: ArraySource, test: ArraySource, **keywords: Any) -> Fitted:
    model = SepVAE(**quick(**{"max_epochs": 3, "background": "well", **keywords}))
    with without_figures():
        fit_run(
            model,
            train,
            test,
            out,
            about_data={"reader": "x"},
            n_permutations=2,
            removal=False,
            say=lambda _: None,
        )
    return Fitted(out, Samples(train, test))


@pytest.fixture(scope="session")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    out = tmp_path_factory.mktemp("explore") / "images"
    return fit(out, pictures(0, 16, 16), pictures(1, 16, 16), salient_dim=3, condition_on=["age", "sex"])


@pytest.fixture(scope="session")
def volume_run(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return fit(tmp_path_factory.mktemp("explore") / "volumes", pictures(0, 6, 8, 4), pictures(1, 6, 8, 4))


@pytest.fixture(scope="session")
def table(table_run: Path) -> Fitted:
    return Fitted(table_run, Samples(table_source(0), table_source(1)))
