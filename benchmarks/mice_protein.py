"""
Mice protein expression: score a genotype that no label names from both spaces.

The background are control mice that were stimulated to learn (c-CS-s). The target are mice that were not,
control (c-SC-s) and trisomic (t-SC-s). Genotype is hidden: it varies among targets only. 5 folds of whole
mice, stratified by class; everything is fitted on the training folds; seeds change the weights and the order.

    SEPVAE_DATA=FOLDER python benchmarks/mice_protein.py OUT.csv [--seeds 3] [--set key=value ...]
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from rich.progress import track
from sklearn.model_selection import StratifiedGroupKFold

from sepvae import SepVAE
from sepvae.batch import IntArray
from sepvae.cli.fitting import split_pairs
from sepvae.codes import codes_table
from sepvae.data import frame_source
from sepvae.data.arrays import ArraySource
from sepvae.evaluation import score_codes
from sepvae.preprocessing import TableScaler
from sepvae.runs.scoring import described


def read() -> tuple[ArraySource, pd.Series]:
    """Read the three classes, with all 77 proteins and their gaps."""
    path = Path(os.environ["SEPVAE_DATA"]) / "mice-protein" / "Data_Cortex_Nuclear.csv"
    frame = pd.read_csv(path).query("`class` in ['c-CS-s', 'c-SC-s', 't-SC-s']").reset_index(drop=True)
    frame["mouse"] = frame["MouseID"].str.split("_").str[0]
    frame["label"] = np.where(frame["class"] == "c-CS-s", "background", "target")
    frame["Genotype"] = frame["Genotype"].where(frame["label"] == "target")
    proteins = [column for column in frame if column.endswith("_N")]
    source = frame_source(
        frame, label="label", features=proteins, subject="mouse", id="MouseID", attributes=["Genotype"]
    )
    return source, frame["class"]


def about(source: ArraySource, test: IntArray) -> pd.DataFrame:
    """What `score_codes` wants to know of each row besides its codes."""
    table = described(source, "train")
    table.loc[test, "split"] = "test"
    return table.assign(y=(table["label"] == "target").astype(int))


def score_fold(model: SepVAE, source: ArraySource, train: IntArray, test: IntArray) -> pd.DataFrame:
    """Fit on some mice, score on the others."""
    model.fit(source.select(train))
    table = codes_table(model.encode(source), about(source, test))
    return score_codes(table, n_permutations=0, n_bootstraps=0)


def score_raw(source: ArraySource, train: IntArray, test: IntArray) -> pd.DataFrame:
    """The same probes on the proteins themselves, standardised, gaps filled with the mean."""
    scaler = TableScaler().fit(source.x[train])
    raw = pd.DataFrame(scaler.transform(source.x)).add_prefix("salient")
    table = pd.concat([about(source, test), raw.assign(common0=0.0)], axis=1)
    scores = score_codes(table, n_permutations=0, n_bootstraps=0)
    return scores[scores["space"] == "salient"].assign(space="all proteins, no model")


def main() -> None:
    """Run all folds and seeds, writing as results come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()

    source, classes = read()
    folds = list(
        StratifiedGroupKFold(5, shuffle=True, random_state=0).split(source.x, classes, groups=source.groups)
    )
    cells = [(fold, seed) for fold in range(5) for seed in range(options.seeds)]
    started, parts = time.monotonic(), []
    for fold, seed in track(cells, "fitting"):
        model = SepVAE(progress_bar=False, accelerator="cpu", random_state=seed, **split_pairs(options.set))
        parts.append(score_fold(model, source, *folds[fold]).assign(fold=fold, seed=seed))
        if seed == 0:
            parts.append(score_raw(source, *folds[fold]).assign(fold=fold, seed=seed))
        pd.concat(parts).to_csv(options.out, index=False)
    print(f"{len(cells)} fits, {time.monotonic() - started:.0f} s")
    print(summary(pd.read_csv(options.out)).to_string(index=False))


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds within a fold, then mean and standard deviation over folds."""
    keys = ["attribute", "population", "metric", "space"]
    by_fold = (
        scores.dropna(subset="attribute").groupby([*keys, "fold"], sort=False)[["score", "chance"]].mean()
    )
    over_folds = by_fold.groupby(keys, sort=False)
    return pd.DataFrame(
        {
            "score": over_folds["score"].mean().round(2),
            "sd": over_folds["score"].std().round(2),
            "chance": over_folds["chance"].mean().round(2),
        }
    ).reset_index()


if __name__ == "__main__":
    main()
