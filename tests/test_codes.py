"""What an attribute is, told from its values."""

import numpy as np
import pandas as pd
import pytest

from sepvae.codes import attribute_kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b", None], "categorical"),
        ([True, False], "categorical"),
        (range(20), "categorical"),
        (range(21), "continuous"),
        ([0.0, 1.0, 2.0], "continuous"),
        ([0.0, 1.0, np.nan], "categorical"),  # what read_csv makes of 0, 1 and an empty cell
        ([0.5, 1.0, np.nan], "continuous"),
        ([0.0, np.inf, np.nan], "categorical"),
        (pd.Categorical([0.5, 1.5]), "categorical"),
        (pd.array([1, 2, None], dtype="Int64"), "categorical"),
        (np.array([0.5, None], dtype=object), "continuous"),
    ],
)
def test_attribute_kind(values, kind):
    assert attribute_kind(pd.Series(values)) == kind
