"""What the same probes read from the raw input: principal components, fitted on the training part."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from sepvae.batch import AnyArray, Source, chunks, gather, in_unit_range
from sepvae.codes import Codes, Kind, codes_table
from sepvae.data.tables import TableScaler
from sepvae.evaluation.groups import group_scores, mlp_probabilities
from sepvae.evaluation.scores import score_codes
from sepvae.runs.scoring import described

NAME = "pixels"
CHUNK = 512


def score_pixels(
    train: Source,
    test: Source,
    background: str,
    *,
    n_components: int,
    kinds: Mapping[str, Kind],
    n_permutations: int,
) -> pd.DataFrame:
    """
    Score principal components of samples as if they were codes.

    Parameters
    ----------
    train, test : Source
        What components, scaler and probes are fitted on, and what is scored.
    background : str
        Its label.
    n_components : int
        Components, at most; as many as a method has codes in both spaces is fair.
    kinds : mapping
        "categorical" or "continuous" for each attribute.
    n_permutations : int
        Shuffles behind each p-value.

    Returns
    -------
    DataFrame
        Rows of `results.csv`, with space "pixels".
    """
    x_train, x_test = _flat(train), _flat(test)
    if len(train.sample_shape) == 1:
        scaler = TableScaler().fit(x_train)
        x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)
    pca = PCA(min(n_components, *x_train.shape), random_state=0).fit(x_train)
    tables = []
    for source, x, name in ((train, x_train, "train"), (test, x_test, "test")):
        components = pca.transform(x).astype(np.float32)
        nothing = np.zeros((len(x), 1), dtype=np.float32)
        about = described(source, name)
        about.insert(4, "y", (about["label"] != background).astype(int))
        tables.append(codes_table(Codes(nothing, nothing, components, components), about))
    codes = pd.concat(tables, ignore_index=True)
    scores = score_codes(codes, kinds=kinds, n_permutations=n_permutations)
    probed = scores[(scores["space"] == "salient") & scores["chance"].notna()].assign(probe="linear")
    of_groups = group_scores(codes, mlp_probabilities(codes), "mlp")
    return pd.concat([probed, of_groups], ignore_index=True).assign(space=NAME)


def _flat(source: Source) -> AnyArray:
    """All samples as rows of numbers; images in [0, 1]."""
    parts = ([in_unit_range(source.take(part).x)] for part in chunks(len(source), CHUNK))
    return gather(len(source), parts)[0].reshape(len(source), -1)
