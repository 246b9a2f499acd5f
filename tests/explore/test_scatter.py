"""Figures of both spaces."""

from typing import Any

import numpy as np
import pytest

from sepvae.explore.scatter import Scatter


@pytest.fixture
def scatter(image_run: Any) -> Scatter:
    return Scatter(image_run.explored(), "test")


def test_points_are_the_people_of_the_part(scatter, image_run):
    run = image_run.explored()
    trace = scatter.figure("salient", "label")["data"][0]
    assert run.in_test[trace["customdata"]].all()
    assert len(trace["x"]) == len(trace["y"]) == 60
    assert [run.codes["id"][row] for row in trace["customdata"]] == trace["text"]
    assert len(Scatter(run, "all").rows) == 120


def test_rings_and_selections_are_at_the_places_of_their_people(scatter):
    row, other = (int(one) for one in scatter.rows[[7, 9]])
    trace = scatter.figure("common", "label", [row])["data"][0]
    assert trace["selectedpoints"] == [7]
    person, donor = scatter.rings("common", row, other)
    assert (person["xanchor"], person["yanchor"]) == (trace["x"][7], trace["y"][7])
    assert (donor["xanchor"], donor["line"]["dash"]) == (trace["x"][9], "dot")
    assert scatter.rings("common", -1, None) == []
    assert scatter.selected_points([]) is None


def test_colours_are_those_of_the_legend(scatter, image_run):
    codes = image_run.explored().codes
    marker = scatter.figure("salient", "sex")["data"][0]["marker"]
    for colour, _, text in scatter.legend("sex"):
        drawn = codes["sex"][scatter.rows[np.array(marker["color"]) == colour]]
        assert [text] == [f"{name} ({n})" for name, n in drawn.value_counts().items()]
    ages = codes["age"][scatter.rows].to_numpy()
    (low, *_), (high, *_) = scatter.legend("age")
    colours = scatter.figure("salient", "age")["data"][0]["marker"]["color"]
    assert (colours[ages.argmin()], colours[ages.argmax()]) == (low, high)


def test_a_column_that_nobody_here_has_leaves_the_label(scatter):
    assert scatter.legend("unknown") == scatter.legend("label")
