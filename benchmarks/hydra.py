"""HYDRA beside our test for subtypes: the same simulated patients, and controls that HYDRA needs.

    pip install --no-deps mlni==0.1.5.1
    python benchmarks/hydra.py --out hydra.csv --draws 4

One row per case and draw: for 2 and 3 clusters HYDRA's stability, which is the adjusted Rand index between
its hold-outs, and that of its clusters with the true ones; and the number that the stability chooses.
Controls are one Gaussian, 2 standard deviations from the mean of the patients. There are 10 hold-outs, of
5 starts each (by default 20); all else is HYDRA's default.
"""

import argparse
import contextlib
import io
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score
from subtypes import CASES

# mlni's networks import these; its HYDRA does not use them.
for name in ("torchvision", "torchvision.models", "torchvision.models.resnet", "tensorboardX"):
    sys.modules.setdefault(name, MagicMock())

NUMBERS = (2, 3)
NAMES = ("one Gaussian", "skewed (exponential in each dimension)", "2 clusters, 3 apart")
NAMES += ("2 clusters, 4 apart", "2 clusters of 80 and 20 %, 4 apart", "3 clusters, 4 apart")


def hydra(patients: np.ndarray, controls: np.ndarray) -> tuple[dict[int, float], dict[int, np.ndarray]]:
    """Return HYDRA's stability and assignment of the patients, for each number of clusters."""
    from mlni.hydra_clustering import clustering

    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        folder = Path(name)
        (folder / "out").mkdir()
        table = pd.DataFrame(np.concatenate([patients, controls])).add_prefix("x")
        table.insert(0, "participant_id", [f"p{i}" for i in range(len(table))])
        table.insert(1, "session_id", "M0")
        table.insert(2, "diagnosis", np.repeat([1, -1], [len(patients), len(controls)]))
        table.to_csv(folder / "features.tsv", sep="\t", index=False)
        sizes = {"k_min": NUMBERS[0], "k_max": NUMBERS[-1], "cv_repetition": 10, "num_consensus": 5}
        clustering(str(folder / "features.tsv"), str(folder / "out"), **sizes, n_threads=1)
        found = folder / "out" / "clustering"
        stability = pd.read_csv(found / "adjusted_rand_index.tsv", sep="\t").iloc[0]
        assigned = pd.read_csv(found / "clustering_assignment.tsv", sep="\t")[: len(patients)]
    return (
        {k: float(stability[f"ari_{k}_subtypes"]) for k in NUMBERS},
        {k: assigned[f"assignment_{k}"].to_numpy() for k in NUMBERS},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--people", type=int, default=100, help="patients, and as many controls")
    options = parser.parse_args()
    rows = []
    for case in NAMES:
        for draw in range(options.draws):
            rng = np.random.default_rng((draw, options.people, 4))  # as benchmarks/subtypes.py
            patients, truth = CASES[case](rng, options.people, 4)
            away = rng.normal(size=4)
            away *= 2 / np.linalg.norm(away)
            controls = rng.normal(size=patients.shape) + patients.mean(axis=0) - away
            np.random.seed(draw)  # noqa: NPY002  (mlni draws from it)
            stability, assigned = hydra(patients, controls)
            row: dict[str, object] = {"case": case, "draw": draw, "chosen": max(stability, key=stability.get)}
            for k in NUMBERS:
                row[f"stability_{k}"] = stability[k]
                row[f"truth_{k}"] = adjusted_rand_score(truth, assigned[k])
            rows.append(row)
            pd.DataFrame(rows).to_csv(options.out, index=False)
            print(row, flush=True)


if __name__ == "__main__":
    main()
