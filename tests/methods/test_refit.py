"""A second fit that is refused leaves the estimator as it was."""

import numpy as np
import pandas as pd
import pytest

from sepvae import ContrastivePCA, SepVAE
from sepvae.errors import DataError

from ..helpers import quick

RNG = np.random.default_rng(0)
Y = np.repeat(["well", "ill"], 20)


@pytest.mark.parametrize(
    "model",
    [
        ContrastivePCA(2, 1, background="well"),
        SepVAE(**quick(salient_dim=1, background="well", warm_start=True)),
    ],
)
def test_a_refused_fit_changes_nothing(model: ContrastivePCA | SepVAE) -> None:
    table = pd.DataFrame(RNG.normal(size=(40, 4)), columns=list("abcd"))
    before = model.fit(table, Y).transform(table)
    for X, y in ((np.zeros((40, 1, 4, 4)), Y), (RNG.normal(size=(40, 2)), Y), (table, ["well"] * 40)):
        with pytest.raises(DataError):
            model.fit(X, y)
    assert (model.background_, model.sample_shape_, model.n_features_in_) == ("well", (4,), 4)
    assert list(model.feature_names_in_) == list("abcd")
    np.testing.assert_array_equal(model.transform(table), before)
