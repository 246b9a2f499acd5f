"""What an attribute is, told from its values; codes in Jupyter."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from sepvae.codes import Codes, attribute_kind


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


def codes_of(n, common_dim, salient_dim):
    means = (np.random.default_rng(0).normal(size=(n, dim)) for dim in (common_dim, salient_dim))
    common, salient = means
    return Codes(common, np.zeros_like(common), 3 * salient, np.full_like(salient, 2 * np.log(0.5)))


def test_codes_in_jupyter():
    codes = codes_of(1000, 3, 6)
    html = codes._repr_html_()
    cells = [float(number) for number in re.findall("<td>(.*?)</td>", html)]
    sizes, rows = np.reshape(cells[:6], (2, 3)), np.reshape(cells[6:], (5, 7))
    assert sizes[:, 0].tolist() == [3, 6]  # dimensions
    assert sizes[:, 1].tolist() == pytest.approx([1, 3], abs=0.1)  # SD of means
    assert sizes[:, 2].tolist() == [1.0, 0.5]  # SD of the posterior
    names = re.findall(r"<th>((?:common|salient)\d+)</th>", html)
    assert names == ["common0", "common1", "common2", "salient0", "salient1", "salient2", "salient3"]
    np.testing.assert_allclose(rows[:, 6], codes.salient_mean[:5, 3], atol=0.005)


def test_size_in_jupyter_does_not_grow():
    assert len(codes_of(20_000, 50, 50)._repr_html_()) < 5000
    assert "Codes of 0 samples" in codes_of(0, 2, 2)._repr_html_()


def test_tensors_in_jupyter():
    codes = codes_of(3, 2, 2)
    tensors = codes.map(lambda x: torch.as_tensor(x, dtype=torch.bfloat16).requires_grad_())
    assert "Codes of 3 samples" in tensors._repr_html_()
    assert codes.map(lambda _: None)._repr_html_() is None  # Jupyter then shows the text
