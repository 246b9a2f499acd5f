"""What the codes tell without a probe, on numbers known in closed form."""

import numpy as np
import pandas as pd
import pytest

from sepvae.errors import DataError
from sepvae.evaluation.scores import active_units, separation_scores, variance_ratio


@pytest.fixture
def table():
    """Background codes +-1, targets +-3 in salient0 and +-4 in salient1, nothing but noise in salient2."""
    return pd.DataFrame(
        {
            "id": range(4),
            "group": ["p", "q", "r", "r"],
            "y": [0, 0, 1, 1],
            "common0": [-1.0, 1.0, -1.0, 1.0],
            "salient0": [-1.0, 1.0, -3.0, 3.0],
            "salient1": [0.0, 0.0, -4.0, 4.0],
            "salient2": [0.0, 0.0, 0.0, 0.1],
        }
    )


def test_variance_ratio_is_a_ratio_of_traces(table):
    # Sample variances of +-a are 2 a^2; salient2 adds 0.005.
    assert variance_ratio(table, "salient") == pytest.approx((18 + 32 + 0.005) / 2)
    assert variance_ratio(table, "common") == 1


def test_variance_ratio_of_the_same_thing_scaled_is_the_square(table):
    codes = np.random.default_rng(0).normal(size=(50, 3))
    rows = np.concatenate([codes, 5 * codes + 7])
    table = pd.DataFrame(rows, columns=["salient0", "salient1", "salient2"]).assign(y=np.repeat([0, 1], 50))
    assert variance_ratio(table, "salient") == pytest.approx(25)


def test_variance_ratio_without_background_variance(table):
    still = table.assign(salient0=table["salient0"] * table["y"])
    assert variance_ratio(still, "salient") == np.inf
    assert np.isnan(variance_ratio(still.assign(common0=0.0), "common"))
    assert np.isnan(variance_ratio(table[1:], "salient"))


def test_active_units_vary_among_targets(table):
    assert active_units(table, "salient") == 2
    assert active_units(table, "common") == 1
    assert active_units(table.assign(common0=[-1.0, 1.0, 0.0, 0.0]), "common") == 0


def test_separation_scores_hold_each_number_with_its_population(table):
    scores = separation_scores(table).set_index(["metric", "space"])
    assert scores.loc[("variance_ratio", "salient"), "score"] == variance_ratio(table, "salient")
    units = scores.loc[("active_units", "salient"), ["population", "score", "n_test", "n_test_groups"]]
    assert units.tolist() == ["target", 2, 2, 1]


def test_reconstruction_error_is_a_mean_per_population(table):
    errors = pd.DataFrame({"id": ["3", "2", "0"], "full": [1.0, 2.0, 5.0], "common_only": [3.0, 6.0, 5.0]})
    scores = separation_scores(table, errors).query("metric == 'reconstruction_error'")
    score = scores.set_index(["space", "population"])["score"]
    assert score.to_dict() == {
        ("both", "background"): 5,
        ("both", "target"): 1.5,
        ("common", "background"): 5,
        ("common", "target"): 4.5,
    }


def test_explained_variance_is_one_less_the_share_of_the_error_of_the_mean(table):
    errors = pd.DataFrame({"id": ["3", "2", "0"], "full": [1.0, 2.0, 5.0], "common_only": [3.0, 6.0, 5.0]})
    scores = separation_scores(table, errors.assign(of_mean=[4.0, 8.0, 5.0]))
    scores = scores.query("metric == 'explained_variance'").set_index(["space", "population"])
    assert scores["score"].to_dict() == {
        ("both", "background"): 0,
        ("both", "target"): 1 - 3 / 12,
        ("common", "background"): 0,
        ("common", "target"): 1 - 9 / 12,
    }
    assert scores["low"].isna().all()  # of one person each


@pytest.mark.parametrize("ids", [[0, 9], [0, 0]])
def test_reconstruction_errors_of_strangers_or_twice_are_refused(table, ids):
    with pytest.raises(DataError, match="no test samples or come twice"):
        separation_scores(table, pd.DataFrame({"id": ids, "full": 1.0, "common_only": 1.0}))


def test_reconstruction_errors_without_a_column_are_refused(table):
    with pytest.raises(DataError, match="common_only"):
        separation_scores(table, pd.DataFrame({"id": [0], "full": 1.0}))
