"""AnnData: what is read, what is refused, and codes in obsm."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sepvae import ContrastivePCA
from sepvae.codes import Codes, codes_table
from sepvae.data import codes_to_anndata, load, read_anndata
from sepvae.errors import DataError, RawCountsWarning

anndata = pytest.importorskip("anndata")
GENES = ["CD4", "CD8A", "MT-ND1", "MT-CO1"]


def words(*values: Any) -> pd.Index:
    """Strings that anndata 0.12.6 writes, too; it does not know those of pandas 3."""
    return pd.Index(values, dtype=object)


def cells(x: Any = None, **obs: Any) -> Any:
    """Six cells of three donors, with four genes."""
    columns = {"dx": ["hc", "sle", "hc", "sle", "hc", "sle"], "donor": ["d1", "d2", "d3", "d2", "d1", "d2"]}
    columns = {name: pd.Categorical(words(*values)) for name, values in columns.items()}
    frame = pd.DataFrame(columns | {"age": [30.5, 41, np.nan, 41, 30.5, 41]} | obs)
    frame.index = words(*(f"cell-{i}" for i in range(6)))
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32) if x is None else x
    return anndata.AnnData(x, obs=frame, var=pd.DataFrame(index=words(*GENES)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "cells.h5ad"
    cells().write_h5ad(file)
    return file


HOW: dict[str, Any] = {"label": "dx", "subject": "donor", "attributes": ["age"]}


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
def test_objects_and_files_of_any_kind_of_matrix_are_read_alike(kind: Any, tmp_path: Path) -> None:
    adata = cells(kind(np.arange(24).reshape(6, 4) / 10))
    adata.write_h5ad(tmp_path / "cells.h5ad")
    for data in (adata, tmp_path / "cells.h5ad", anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")):
        source = read_anndata(data, **HOW)
        np.testing.assert_array_equal(source.take(np.arange(6)).x, np.arange(24).reshape(6, 4) / 10)
        assert source.feature_names == GENES
        assert source.labels.tolist() == ["hc", "sle"] * 3
        assert source.groups.tolist() == ["d1", "d2", "d3", "d2", "d1", "d2"]
        assert source.ids.tolist() == [f"cell-{i}" for i in range(6)]
        np.testing.assert_array_equal(source.attributes["age"], [30.5, 41, np.nan, 41, 30.5, 41])


def test_features_by_pattern_and_gaps(path: Path) -> None:
    x = np.ones((6, 4)) / 3
    x[0, 2], x[1, 3] = np.nan, -99
    source = load(path, label="dx", features=["MT-*"])
    assert source.feature_names == ["MT-ND1", "MT-CO1"]
    gaps = read_anndata(cells(x), label="dx", features=["MT-*"], missing=[-99]).take(np.arange(6)).x
    np.testing.assert_array_equal(np.isnan(gaps), [[True, False], [False, True], *[[False, False]] * 4])
    assert x[1, 3] == -99  # the user's own array


@pytest.mark.parametrize(
    ("x", "warns"), [(np.full((6, 4), 30), True), (np.full((6, 4), 2), False), (np.full((6, 4), 30.5), False)]
)
def test_raw_counts_get_a_warning(x: Any, warns: bool) -> None:
    if warns:
        with pytest.warns(RawCountsWarning, match=r"whole numbers from 0 to 30.*likelihood of counts"):
            read_anndata(cells(x.astype(np.float32)), **HOW)
    else:
        read_anndata(cells(x.astype(np.float32)), **HOW)  # warnings are errors


def test_what_cannot_be_used(path: Path) -> None:
    twice = cells()
    twice.var.index = words("CD4", "CD4", "B", "C")
    for data, keywords, message in (
        (cells(), {"label": "dz"}, "no column 'dz' for label"),
        (cells(), {"label": "dx", "features": ["IL*"]}, r"no column fits 'IL\*'"),
        (cells(), {"label": "dx", "memory": 1e-7}, "dense table, wanted 1e-07 at most; keep fewer"),
        (twice, {"label": "dx"}, "CD4 stand more than once in var_names"),
        (cells(np.full((6, 4), np.inf)), {"label": "dx"}, "infinite values in 'CD4'"),
        (path.with_name("none.h5ad"), {"label": "dx"}, "cannot be read as AnnData"),
    ):
        with pytest.raises(DataError, match=message):
            read_anndata(data, **keywords)
    for fields, message in (({"images": "x"}, "--images has no meaning"), ({"mask": "x"}, "--mask has no")):
        with pytest.raises(
            DataError, match=message.replace("--images", "images=").replace("--mask", "mask=")
        ):
            load(path, label="dx", **fields)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="cannot be read as AnnData"):
        load(path, label="dx")


def test_files_that_lead_elsewhere_are_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(24 * 8))
    external = [(str(tmp_path / "secret"), 0, 24 * 8)]
    with h5py.File(path, "r+") as file:
        del file["X"]
        file.create_dataset("X", (6, 4), "f8", external=external).attrs["encoding-type"] = "array"
    with pytest.raises(DataError, match="values of /X lie in another file"):
        load(path, label="dx")
    cells().write_h5ad(tmp_path / "other.h5ad")
    with h5py.File(path, "r+") as file:
        del file["X"]
        file["X"] = h5py.ExternalLink("other.h5ad", "/X")
    with pytest.raises(DataError, match="X leads to another file"):
        load(path, label="dx")


@pytest.mark.parametrize("name", ["X", "obs/dx"])
def test_links_to_links_that_lead_elsewhere_are_refused(name: str, path: Path, tmp_path: Path) -> None:
    cells().write_h5ad(tmp_path / "other.h5ad")
    with h5py.File(path, "r+") as file:
        del file[name]
        file["uns/elsewhere"] = h5py.ExternalLink("other.h5ad", "/")
        file[name] = h5py.SoftLink(f"/uns/elsewhere/{name}")
    with pytest.raises(DataError, match=f"{Path(name).name} leads to another file"):
        load(path, label="dx")


def test_a_column_of_a_claimed_size_is_refused_before_it_is_read(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["obs"].create_dataset("n", (10**11,), "f8", chunks=(1000,)).attrs["encoding-type"] = "array"
    with pytest.raises(DataError, match=r"obs and var take 800.0 GB, wanted 4 at most"):
        load(path, label="dx")


@pytest.mark.parametrize("part", ["indices", "indptr"])
def test_sparse_indices_out_of_bounds_are_refused(part: str, tmp_path: Path) -> None:
    file = tmp_path / "cells.h5ad"
    cells(sparse.csr_matrix(np.eye(6, 4))).write_h5ad(file)
    with h5py.File(file, "r+") as opened:
        opened["X"][part][1] = 10**6
    with pytest.raises(DataError, match="cannot be read as AnnData"):
        load(file, label="dx")


def test_a_claimed_size_is_refused_before_it_is_read(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["X"]
        claimed = file.create_dataset("X", (10**8, 10**5), "f4", chunks=(1000, 1000))
        claimed.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    with pytest.raises(DataError, match=r"takes 40000.0 GB as stored"):
        load(path, label="dx")


def codes_of(n: int) -> Codes[Any]:
    common, salient = np.arange(2.0 * n).reshape(n, 2), np.arange(3.0 * n).reshape(n, 3)
    return Codes(common, common, salient, salient)


def test_codes_of_a_model_go_to_obsm() -> None:
    adata = cells()
    model = ContrastivePCA(2, 1, background="hc").fit(adata.to_df(), adata.obs["dx"], adata.obs["donor"])
    same = codes_to_anndata(model.encode(adata.to_df()), adata)
    assert same is adata
    np.testing.assert_array_equal(adata.obsm["X_salient"], model.encode(adata.to_df()).salient_mean)
    assert adata.obsm["X_common"].shape == (6, 2)
    with pytest.raises(DataError, match="wanted those of all 6 observations of adata, got 5"):
        codes_to_anndata(codes_of(5), adata)


def test_codes_of_a_table_go_by_name() -> None:
    adata = cells()
    table = codes_table(codes_of(2), pd.DataFrame({"id": ["cell-3", "cell-0"], "label": ["sle", "hc"]}))
    codes_to_anndata(table, adata)
    np.testing.assert_array_equal(adata.obsm["X_common"][[3, 0]], [[0, 1], [2, 3]])
    assert np.isnan(adata.obsm["X_salient"][[1, 2, 4, 5]]).all()
    alone = codes_to_anndata(table)
    assert alone.obs_names.tolist() == ["cell-3", "cell-0"]
    assert alone.obs["label"].tolist() == ["sle", "hc"]
    assert codes_to_anndata(codes_of(4)).obsm["X_salient"].shape == (4, 3)
    with pytest.raises(DataError, match="wanted rows of adata"):
        codes_to_anndata(table.assign(id=["a", "b"]), adata)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "anndata", None)
    with pytest.raises(DataError, match=r"pip install 'sepvae\[anndata\]'"):
        load(path, label="dx")
