"""A method that decodes nothing: it is fitted, scored, drawn and compared without what needs a decoder."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sepvae import ContrastivePCA
from sepvae.benchmark import make_cells, run_benchmark
from sepvae.benchmark.cells import Contender
from sepvae.data import ArraySource
from sepvae.errors import DataError
from sepvae.methods.base import Capabilities
from sepvae.registry import find_method
from sepvae.report import write_report
from sepvae.runs import evaluate_run, fit_run, map_run
from sepvae.runs.finishing import complete_run, left_out_of

from ..helpers import quick

KEYWORDS: dict[str, dict[str, Any]] = {
    "ContrastivePCA": {"common_dim": 2, "salient_dim": 2, "background": "well"},
    "SepCLR": quick(batch_size=16, background="well"),
}


def images(seed: int) -> ArraySource:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 255, (60, 1, 16, 16), dtype=np.uint8)
    return ArraySource(x, ["well", "ill"] * 30, ids=[f"{seed}-{i}" for i in range(60)])


@pytest.fixture(autouse=True)
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("it has no decoder")

    monkeypatch.setattr(ContrastivePCA, "capabilities", Capabilities(decoder=False))
    monkeypatch.setattr(ContrastivePCA, "_decode", refuse)


@pytest.mark.parametrize("method", KEYWORDS)
def test_a_run_has_all_but_what_is_decoded(method: str, tmp_path: Path) -> None:
    run, train, test, said = tmp_path / "run", images(0), images(1), []
    model = find_method(method)(**KEYWORDS[method])
    fit_run(model, train, test, run, about_data={}, n_permutations=0, thumbnails=False, say=said.append)
    assert f"note: {method} has no decoder: no reconstructions, removal, swaps or maps" in said
    assert not (run / "maps").exists()
    assert not (run / "removal.csv").exists()
    assert sorted(np.load(run / "examples.npz").files) == ["ids", "inputs", "labels"]
    assert "reconstruction_error" not in pd.read_csv(run / "scores.csv")["metric"].tolist()
    assert (run / "metrics.csv").exists() == model.capabilities.epochs
    assert "dimensions in use" in write_report(run).read_text("utf-8")

    assert left_out_of(run) == ["thumbnails.npz"]
    assert complete_run(run, train, test, say=said.append) == ["thumbnails.npz"]
    assert len(evaluate_run(run, images(2), n_permutations=0))
    with pytest.raises(DataError, match=f"maps: wanted a method with a decoder, got {method}"):
        map_run(run, images(2), tmp_path / "maps")


@pytest.mark.parametrize("method", KEYWORDS)
def test_a_benchmark_scores_it(method: str, tmp_path: Path) -> None:
    contender = Contender(method, keywords=KEYWORDS[method])
    cells = make_cells([contender], [0], 1)
    parts, kinds = [(images(0), images(1))], {}
    results = run_benchmark(cells, parts, tmp_path / "b", recipe="own", background="well", kinds=kinds)
    assert results["error"].isna().all()
    assert {"linear", "mlp"} <= set(results["probe"].dropna())
