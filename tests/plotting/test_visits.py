"""The figure of visits: a panel a label, a line a person, and the mean of the lines."""

import numpy as np
import pandas as pd
import pytest

from sepvae.plotting.visits import visit_figure


@pytest.fixture
def scans():
    person = np.repeat(np.arange(8), 3)
    table = pd.DataFrame({"group": person, "y": person % 2, "label": np.where(person % 2, "ill", "$hc")})
    table["age"] = 50 + person + np.tile([0, 1, 2], 8)
    return table.assign(salient_load=3 + table["y"] * (table["age"] - 50 - person) + person)


def test_each_label_has_lines_of_people_and_their_mean(scans):
    figure = visit_figure(scans, "age")
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "$hc: +0.00 a year (4 people)",
        "ill: +1.00 a year (4 people)",
    ]
    *people, mean = figure.axes[1].lines
    assert len(people) == 4
    np.testing.assert_allclose(people[0].get_xydata(), [[0, 4], [1, 5], [2, 6]])
    np.testing.assert_allclose(mean.get_xydata(), [[0, 7], [2, 9]])


def test_scans_without_labels_share_a_panel(scans):
    figure = visit_figure(scans.assign(label=None, y=np.nan), "age")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["all: +0.50 a year (8 people)"]
