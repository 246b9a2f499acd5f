import math

import pandas as pd
import pytest

from sepvae.evaluation.differences import Difference
from sepvae.report.benchmark_tables import (
    ScoreInterval,
    association_latex,
    association_table,
    interval_table,
)

from ..helpers import score_column

AUC = score_column("diagnosis, AUC", "label", "all", "salient", "auc", "own", "high")
AGE = score_column("age, MAE", "age", "target", "salient", "mae", "linear", "high")


def test_each_mean_stands_beside_interval_and_chance():
    found = [
        ScoreInterval(AUC, "SepVAE", 0.5, Difference(0.7, 0.65, 0.75, "t interval over 5 seeds")),
        ScoreInterval(AGE, "A|B", 9.5, Difference(8.25, math.nan, math.nan, "1 folds, no interval below 2")),
    ]
    assert interval_table(found).splitlines() == [
        "| score | contender | mean | 95 % interval | chance | kind |",
        "|---|---|---|---|---|---|",
        "| diagnosis, AUC ↑ | SepVAE | 70.00 | 65.00 to 75.00 | 50.00 | t interval over 5 seeds |",
        r"| age, MAE ↑ | A\|B | 8.25 | - | 9.50 | 1 folds, no interval below 2 |",
        "",
        "The arrow says which way is better. Accuracy and AUC in percent.",
    ]


@pytest.fixture
def associations():
    table = pd.DataFrame({"contender": "no_MI", "seed": range(3), "attribute": "ados", "space": "salient"})
    table = table.assign(n=[50, 50, 49], spearman=[0.2, 0.3, -0.4], p=0.01, p_adjusted=[0.04, 0.06, 0.01])
    return table.assign(partial=[0.1, math.nan, 0.2], n_partial=40, p_partial=0.1, p_partial_adjusted=0.2)


def test_associations_are_summed_up_over_seeds_and_only_positive_ones_count(associations):
    lines = association_table(associations, ["age", "site"]).splitlines()
    assert lines[0] == (
        "| contender | score | space | n | Spearman | p < 0.05 | n, partial | partial | p < 0.05 |"
    )
    assert lines[2] == (
        "| no_MI | ados | salient | 49 to 50 | 0.03 ± 0.38 | 1 of 3 | 40 | 0.15 ± 0.07 | 0 of 3 |"
    )
    assert "Partial: adjusted for age, site." in lines[-1]


def test_without_covariates_there_is_no_partial_one(associations):
    lines = association_table(associations.iloc[:1], []).splitlines()
    assert lines[0] == "| contender | score | space | n | Spearman | p < 0.05 |"
    assert lines[2] == "| no_MI | ados | salient | 50 | 0.20 | 1 of 1 |"
    assert "artial" not in lines[-1]


def test_in_latex(associations):
    lines = association_latex(associations.assign(spearman=-0.25), ["age"]).splitlines()
    assert (
        r"contender & score & space & n & Spearman & p $<$ 0.05 & n, partial & partial & p $<$ 0.05 \\"
        in lines
    )
    row = (
        r"no\_MI & ados & salient & 49 to 50 & $-$0.25 $\pm$ 0.00 & 0 of 3 & 40 & 0.15 $\pm$ 0.07 & 0 of 3 \\"
    )
    assert row in lines
