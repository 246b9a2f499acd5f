"""Baseline: the same probes on principal components of the raw input, fitted on the training part."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from sepvae.batch import AnyArray, Source, chunks, gather, in_unit_range
from sepvae.benchmark.folder import CellFolder
from sepvae.codes import Codes, Kind, codes_table
from sepvae.evaluation.classifiers import group_scores, mlp_probabilities
from sepvae.evaluation.scores import score_codes
from sepvae.preprocessing import TableScaler
from sepvae.preprocessing.input_adapter import covariate_names, split_covariates
from sepvae.preprocessing.residualizer import Residualizer
from sepvae.runs.scoring import described

NAME = "pixels"
CHUNK = 512


@dataclass(frozen=True)
class Pixels:
    """
    Baseline cell without a method: at most `n_components` principal components are scored like codes.

    A fair number is a method's number of codes in both spaces. `residualise` names the covariates that the
    contenders remove from tables.
    """

    n_components: int
    background: str
    fold: int | None = None
    residualise: Any = None

    @property
    def name(self) -> str:
        """Name of the cell's folder, which differs for other numbers of components."""
        return f"{NAME}-{self.n_components}" + ("" if self.fold is None else f"-fold{self.fold}")

    @property
    def about(self) -> dict[str, Any]:
        """Columns with one value for all rows of the cell."""
        return {"contender": NAME, "method": NAME, "fold": self.fold}

    def run(
        self,
        train: Source,
        test: Source,
        folder: Path,
        *,
        kinds: Mapping[str, Kind],
        n_permutations: int,
    ) -> None:
        """Compute and score the components, and write the scores."""
        codes = self.components(train, test)
        scores = score_codes(codes, kinds=kinds, n_permutations=n_permutations)
        probed = scores[(scores["space"] == "salient") & scores["chance"].notna()].assign(probe="linear")
        of_groups = group_scores(codes, mlp_probabilities(codes), "mlp")
        both = pd.concat([probed, of_groups], ignore_index=True).assign(space=NAME)
        CellFolder(folder).scores.write(both)

    def components(self, train: Source, test: Source) -> pd.DataFrame:
        """Return the components as salient codes, in a table such as `codes.csv`."""
        x_train, x_test = _flat(train), _flat(test)
        if len(train.sample_shape) == 1:
            names = covariate_names(self.residualise)
            (_, covariates), (_, of_test) = split_covariates(train, names), split_covariates(test, names)
            if covariates is not None and of_test is not None:
                residualizer = Residualizer()
                is_control = np.asarray(train.labels).astype(str) == self.background
                x_train = residualizer.fit_transform(x_train, covariates, is_control)
                x_test = residualizer.transform(x_test, of_test)
            scaler = TableScaler().fit(x_train)
            x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)
        # n centred samples have rank n - 1; one more component is rounding error, which a scaler amplifies.
        most = min(self.n_components, len(x_train) - 1, x_train.shape[1])
        pca = PCA(most, random_state=0).fit(x_train)
        tables = []
        for source, x, name in ((train, x_train, "train"), (test, x_test, "test")):
            components = pca.transform(x).astype(np.float32)
            nothing = np.zeros((len(x), 1), dtype=np.float32)
            about = described(source, name)
            about.insert(4, "y", (about["label"] != self.background).astype(int))
            tables.append(codes_table(Codes(nothing, nothing, components, components), about))
        return pd.concat(tables, ignore_index=True)


def _flat(source: Source) -> AnyArray:
    """Return all samples as rows of numbers; 8-bit images are scaled to [0, 1]."""
    parts = ([in_unit_range(source.take(part).x)] for part in chunks(len(source), CHUNK))
    return gather(len(source), parts)[0].reshape(len(source), -1)
