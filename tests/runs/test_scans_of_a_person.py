"""Several scans of a person beside covariates that are removed: the fit warns."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sepvae import ContrastivePCA
from sepvae.data import ArraySource
from sepvae.runs import fit_run

from ..helpers import without_figures


def source(seed: int, scans: int) -> ArraySource:
    """60 scans of people with so many scans each, and an age."""
    rng = np.random.default_rng(seed)
    person = np.arange(60) // scans
    about = pd.DataFrame({"age": rng.normal(50, 9, 60)})
    ids, groups = [f"{seed}-{i}" for i in range(60)], np.array([f"{seed}-{i}" for i in person])
    labels = np.where(person % 2, "hc", "sz")
    return ArraySource(rng.normal(size=(60, 4)), labels, groups=groups, ids=ids, attributes=about)


@pytest.mark.parametrize(("scans", "taken", "warned"), [(2, ["age"], True), (1, ["age"], False)])
def test_scans_that_are_left_out_one_by_one_are_warned_of(
    tmp_path: Path, scans: int, taken: list[str], warned: bool
) -> None:
    model, said = ContrastivePCA(1, 1, background="hc", residualise=taken), []
    with without_figures():
        how = {"n_permutations": 0, "say": said.append}
        fit_run(
            model, source(0, scans), source(1, scans), tmp_path / "run", about_data={"reader": "frame"}, **how
        )
    warning = "warning: some people have several scans, which residualise leaves out one by one"
    assert any(line.startswith(warning) for line in said) == warned
