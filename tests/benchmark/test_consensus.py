"""Consensus subtypes of tables of codes: files, and who counts out of bag and out of fold."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sepvae.benchmark import make_cells
from sepvae.benchmark.cells import resample_counts
from sepvae.benchmark.consensus import write_consensus, write_consensus_of_folds
from sepvae.benchmark.folder import BenchmarkFolder

from .conftest import contender

N = 160


def codes_of(apart: float, seed: int, n: int = N) -> pd.DataFrame:
    """Half of n people are patients, of two kinds; a quarter are held out. Kinds are those of all seeds."""
    rng, i = np.random.default_rng(seed), np.arange(n)
    shown = np.random.default_rng(9).normal(size=(n, 2)) + 0.1 * rng.normal(size=(n, 2))
    shown[:, 0] += apart * (i // 2 % 2)
    table = pd.DataFrame(
        {"id": i.astype(str), "split": np.where(i // 4 % 4 > 0, "train", "test"), "y": i % 2}
    )
    return table.assign(
        group=[f"p{k}" for k in i], salient0=shown[:, seed % 2], salient1=shown[:, 1 - seed % 2]
    )


def test_patients_have_a_subtype_and_the_share_of_fits(tmp_path: Path) -> None:
    row = write_consensus(
        BenchmarkFolder(tmp_path), "stability-seeds", [codes_of(9, 0), codes_of(9, 1)], [0, 0]
    )
    assert row["measure"].tolist() == ["consensus, 2"]
    assert row["p_value"].item() == 0.05
    table = pd.read_csv(tmp_path / "stability-seeds-consensus.csv")
    assert len(table) == N // 2
    assert table.groupby(table["id"] // 2 % 2)["subtype"].nunique().tolist() == [1, 1]
    assert table["share"].min() == 1
    assert set(table["fits"]) == {2}
    assert (tmp_path / "figures" / "stability-seeds-consensus.png").stat().st_size > 1000


def test_without_a_consensus_all_are_of_one_subtype(tmp_path: Path) -> None:
    other = codes_of(9, 1).sample(frac=1, random_state=0)
    mixed = codes_of(9, 1).assign(
        salient0=other["salient0"].to_numpy(), salient1=other["salient1"].to_numpy()
    )
    row = write_consensus(BenchmarkFolder(tmp_path), "seeds", [codes_of(9, 0), mixed], [0, 0])
    assert row["score"].item() < 0.3
    assert row["p_value"].isna().all()
    table = pd.read_csv(tmp_path / "seeds-consensus.csv")
    assert set(table["subtype"]) == {1}
    assert table["share"].isna().all()


def test_training_patients_are_judged_by_bootstraps_that_left_them_out(tmp_path: Path) -> None:
    codes = [codes_of(9, b, 240) for b in (1, 2)]
    write_consensus(BenchmarkFolder(tmp_path), "bootstraps", codes, [1, 2])
    table = pd.read_csv(tmp_path / "bootstraps-consensus.csv", dtype={"id": int})
    training = codes[0].loc[codes[0]["split"] == "train", "group"].to_numpy()
    drawn = np.sum([resample_counts(training, b) > 0 for b in (1, 2)], axis=0)
    left_out = dict(zip(training, 2 - drawn, strict=True))
    assert table["fits"].tolist() == [left_out.get(f"p{i}", 2) for i in table["id"]]
    assert (table["subtype"].isna() == (table["fits"] == 0)).all()
    judged = table.dropna()
    assert judged.groupby(judged["id"] // 2 % 2)["subtype"].nunique().tolist() == [1, 1]


def write_folds(folder: Path, n_seeds: int, n_folds: int = 3) -> list[str]:
    """Each fold tests every third person; fits that learnt from p1 put p1 where the other kind is."""
    cells = make_cells([contender("SepVAE")], range(n_seeds), n_folds)
    for cell, (seed, fold) in zip(cells, product(range(n_seeds), range(n_folds)), strict=True):
        table, held_out = codes_of(9, seed), np.arange(N) % 3 == fold
        if not held_out[1]:
            table.loc[1, ["salient0", "salient1"]] = table.loc[3, ["salient0", "salient1"]].to_numpy()
        table = pd.concat([table[~held_out].assign(split="train"), table[held_out].assign(split="test")])
        of_cell = BenchmarkFolder(folder).cell(cell.name)
        of_cell.path.mkdir(parents=True)
        of_cell.recipe.write({})
        of_cell.codes.write(table.assign(label=table["y"], common0=0.0))
    return write_consensus_of_folds(cells, BenchmarkFolder(folder))


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_each_patient_is_judged_by_the_folds_that_held_the_patient_out(tmp_path: Path, n_seeds: int) -> None:
    (line,) = write_folds(tmp_path, n_seeds)
    assert line.startswith(f"SepVAE (default), {3 * n_seeds} fits: 2 consensus subtypes: fits agree by 0.9")
    table = pd.read_csv(tmp_path / "folds-SepVAE__default_-consensus.csv")
    assert table.columns.tolist() == ["id", "subtype", "share", "fits"]
    assert set(table["fits"]) == {n_seeds}
    assert table["share"].isna().all() if n_seeds == 1 else (table["share"] == 1).all()
    assert len(table) == N // 2
    assert table.groupby(table["id"] // 2 % 2)["subtype"].nunique().tolist() == [1, 1]
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize("few", [codes_of(9, 0, 60), codes_of(9, 0).assign(salient0=0, salient1=0)])
def test_few_patients_and_empty_codes_have_no_row(tmp_path: Path, few: pd.DataFrame) -> None:
    assert write_consensus(BenchmarkFolder(tmp_path), "seeds", [few, few], [0, 0]).empty
    assert not [*tmp_path.iterdir()]
