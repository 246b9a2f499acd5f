import numpy as np
import pandas as pd
import pytest

from sepvae.errors import DataError
from sepvae.plotting import correlation_map


@pytest.fixture
def correlations():
    rows = [
        ("label", "all", "salient0", "eta", 0.9, 0.001),
        ("label", "all", "salient1", "eta", 0.1, 0.4),
        ("$sub_type", "target", "salient0", "spearman", -0.35, 0.05),
        ("$sub_type", "target", "salient1", "spearman", np.nan, np.nan),
    ]
    return pd.DataFrame(rows, columns=["attribute", "population", "axis", "measure", "value", "p_adjusted"])


def test_every_value_stands_in_its_cell_and_significant_ones_are_marked(correlations):
    figure = correlation_map(correlations)
    ax = figure.axes[0]
    cells = {text.get_position(): text.get_text() for text in ax.texts}
    assert cells == {(0, 0): "0.90*", (1, 0): "0.10", (0, 1): "-0.35*", (1, 1): "-"}
    np.testing.assert_array_equal(ax.images[0].get_array().filled(np.nan), [[0.9, 0.1], [-0.35, np.nan]])
    assert ax.images[0].get_clim() == (-1, 1)


def test_rows_name_attribute_measure_and_population_as_they_are(correlations):
    figure = correlation_map(correlations)
    figure.canvas.draw()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["label (\N{GREEK SMALL LETTER ETA})", "$sub_type (\N{GREEK SMALL LETTER RHO}, target)"]


def test_nothing_is_not_drawn(correlations):
    with pytest.raises(DataError, match="nothing to draw"):
        correlation_map(correlations[:0])
