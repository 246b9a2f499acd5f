"""Runs of AnnData files: new files with more features in another order, and codes as AnnData."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sepvae
from sepvae import ContrastivePCA
from sepvae.run_folder import RunFolder

from ..helpers import invoke, outcome, without_figures

anndata = pytest.importorskip("anndata")
GENES = [f"gene{i}" for i in range(6)]


def cells(file: Path, genes: list[str], prefix: str = "cell") -> pd.DataFrame:
    """Write 60 cells of 20 donors, each gene with values of its own; return them as a table."""
    x = {
        g: np.random.default_rng(int(g[4:])).normal(size=60) + (np.arange(60) % 2) * (g == "gene1")
        for g in genes
    }
    names = pd.Index([f"{prefix}{i}" for i in range(60)], dtype=object)
    obs = {"dx": ["hc", "sle"] * 30, "donor": [f"{prefix}-d{i % 20:02d}" for i in range(60)]}
    obs = {name: pd.Categorical(pd.Index(values, dtype=object)) for name, values in obs.items()}
    var = pd.DataFrame(index=pd.Index(genes, dtype=object))
    adata = anndata.AnnData(np.stack([*x.values()], axis=1), obs=pd.DataFrame(obs, index=names), var=var)
    adata.write_h5ad(file)
    return adata.to_df()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    cells(folder / "cells.h5ad", GENES)
    how: dict[str, Any] = {"label": "dx", "subject": "donor", "background": "hc"}
    with without_figures():
        scoring = {"n_permutations": 0, "removal": False}
        sepvae.fit_folder(folder / "cells.h5ad", folder / "run", ContrastivePCA(2, 1), scoring=scoring, **how)
    return folder / "run"


def test_new_files_may_have_more_features_in_another_order(run: Path, tmp_path: Path) -> None:
    table = cells(tmp_path / "new.h5ad", ["gene9", *reversed(GENES)], prefix="new")
    text = invoke("encode", run, tmp_path / "new.h5ad", "--out", tmp_path / "codes.h5ad")
    assert "60 observations, 6 of 7 features" in " ".join(text.split())
    codes, wanted = anndata.read_h5ad(tmp_path / "codes.h5ad"), sepvae.load(run).encode(table[GENES])
    np.testing.assert_allclose(codes.obsm["X_salient"], wanted.salient_mean, atol=1e-6)
    np.testing.assert_allclose(codes.obsm["X_common"], wanted.common_mean, atol=1e-6)
    assert codes.obs_names.tolist() == table.index.tolist()
    assert codes.obs["label"].tolist() == ["hc", "sle"] * 30
    cells(tmp_path / "fewer.h5ad", GENES[1:])
    status, said = outcome("encode", run, tmp_path / "fewer.h5ad", "--out", tmp_path / "none.csv")
    assert status
    assert "no column 'gene0' for features" in said


def test_the_run_says_how_it_was_read_and_is_scored_on_new_cells(run: Path, tmp_path: Path) -> None:
    about = RunFolder(run).recipe.required()["data"]
    assert (about["reader"], about["label"], about["subject"]) == ("anndata", "dx", "donor")
    assert RunFolder(run).split.required().groupby("group")["split"].nunique().max() == 1
    cells(tmp_path / "new.h5ad", GENES, prefix="new")
    invoke("evaluate", run, tmp_path / "new.h5ad", "--out", tmp_path / "scores.csv", "--permutations", 0)
    assert "label" in pd.read_csv(tmp_path / "scores.csv")["attribute"].tolist()


def test_codes_of_any_run_are_written_as_anndata(run: Path, tmp_path: Path) -> None:
    invoke("encode", run, run.parent / "cells.h5ad", "--out", tmp_path / "codes.h5ad")
    adata, table = anndata.read_h5ad(tmp_path / "codes.h5ad"), RunFolder(run).codes.required()
    assert (
        adata.obs["split"].value_counts().to_dict()
        == RunFolder(run).split.required()["split"].value_counts().to_dict()
    )
    assert {*table["id"]} <= {*adata.obs_names}
    assert adata.n_vars == 0
