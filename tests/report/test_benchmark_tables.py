import io
import math

import numpy as np
import pandas as pd
import pytest

from sepvae.evaluation.differences import Difference
from sepvae.report.benchmark_tables import (
    ComparedPair,
    benchmark_table,
    difference_table,
    score_rows,
    to_latex,
    to_markdown,
)

from ..helpers import score_column

SALIENT = score_column("Glss/Hats Acc salient", "kind", "target", "salient", "accuracy", "linear", "high")
COMMON = score_column("Glss/Hats Acc common", "kind", "target", "common", "accuracy", "linear", "low")
AGE = score_column("Age MAE", "age", "target", "salient", "mae", "linear", "high")
RATIO = score_column("Variance ratio", "", "all", "salient", "variance_ratio", "", "high")


def rows(contender, column, scores, *, chance=0.5, space=None, fold=None):
    return pd.DataFrame(
        {
            "contender": contender,
            "seed": range(len(scores)) if fold is None else 0,
            "fold": math.nan if fold is None else fold,
            "probe": column.probe or None,
            "space": space or column.space,
            "attribute": column.attribute or None,
            "population": column.population,
            "metric": column.metric,
            "score": scores,
            "chance": chance,
            "error": None,
        }
    )


def failure(contender, seed):
    return pd.DataFrame(
        {"contender": [contender], "seed": seed, "error": "out of memory, try a smaller batch"}
    )


@pytest.fixture
def results():
    parts = [
        rows("pixels", SALIENT, [0.7], space="pixels"),
        rows("SepVAE (paper)", SALIENT, [0.8687, 0.8837]),
        rows("SepVAE (paper)", COMMON, [0.72, 0.74]),
        rows("MMcVAE (paper)", SALIENT, [0.85, 0.85]),
        rows("MMcVAE (paper)", COMMON, [0.73]),
        rows("ConVAE (paper)", SALIENT, [0.82, 0.83]),
        rows("ConVAE (paper)", COMMON, [0.76, 0.76]),
        failure("ConVAE (paper)", 2),
        failure("no_MI", 0),
    ]
    return pd.concat(parts, ignore_index=True)


def row_of(text, name):
    return next(line for line in text.splitlines() if line.startswith(f"| {name} |"))


def test_markdown_is_laid_out_like_the_papers_tables(results):
    assert to_markdown(benchmark_table(results, [SALIENT, COMMON])).splitlines() == [
        "|  | Glss/Hats Acc salient ↑ | Glss/Hats Acc common ↓ |",
        "|---|---|---|",
        "| chance | 50.00 | 50.00 |",
        "| SepVAE (paper) | **87.62 ± 1.06** | **73.00 ± 1.41** |",
        "| MMcVAE (paper) | <u>85.00 ± 0.00</u> | **73.00** |",
        "| ConVAE (paper) | 82.50 ± 0.71 | <u>76.00 ± 0.00</u> |",
        "| no_MI | - | - |",
        "| pixels | 70.00 | 70.00 |",
        "",
        "Mean ± standard deviation over runs. Accuracy and AUC in percent. "
        "Runs: SepVAE (paper) 2, MMcVAE (paper) 2, ConVAE (paper) 2, no_MI 0. "
        "Scores of fewer runs: MMcVAE (paper), Glss/Hats Acc common: 1. "
        "Failed cells: ConVAE (paper) seed 2; no_MI seed 0. "
        "Best mean bold, second underlined, whether clear of chance and of each other or not.",
    ]


def test_a_table_read_from_a_file_is_the_same(results):
    read = pd.read_csv(io.StringIO(results.to_csv(index=False)))
    assert benchmark_table(read, [SALIENT, COMMON]) == benchmark_table(results, [SALIENT, COMMON])


def test_latex_escapes_names_and_marks_ranks(results):
    column = SALIENT.model_copy(update={"title": "100% & #1"})
    lines = to_latex(benchmark_table(results, [column])).splitlines()
    assert lines[:5] == [
        r"\begin{tabular}{lc}",
        r"\toprule",
        r" & 100\% \& \#1 $\uparrow$ \\",
        r"\midrule",
        r"chance & 50.00 \\",
    ]
    assert r"SepVAE (paper) & \textbf{87.62 $\pm$ 1.06} \\" in lines
    assert r"MMcVAE (paper) & \underline{85.00 $\pm$ 0.00} \\" in lines
    assert r"no\_MI & - \\" in lines
    assert lines[-2] == r"\end{tabular}"
    assert lines[-1].startswith(r"\par{\footnotesize Mean $\pm$ standard")


def test_every_special_character_of_latex_is_escaped(results):
    named = results.replace("no_MI", r"a_b%c&d#e$f{g}h~i^j\k")
    text = to_latex(benchmark_table(named, [SALIENT]))
    escaped = r"a\_b\%c\&d\#e\$f\{g\}h\textasciitilde{}i\textasciicircum{}j\textbackslash{}k"
    assert rf"{escaped} & - \\" in text


def test_means_are_ranked_before_they_are_rounded():
    results = pd.concat([rows("A", SALIENT, [0.80001]), rows("B", SALIENT, [0.80002])])
    text = to_markdown(benchmark_table(results, [SALIENT]))
    assert row_of(text, "A") == "| A | <u>80.00</u> |"
    assert row_of(text, "B") == "| B | **80.00** |"


def test_the_order_of_runs_breaks_no_tie():
    scores = [0.1, 0.2, 0.3]
    results = pd.concat([rows("A", SALIENT, scores), rows("B", SALIENT, scores[::-1])])
    assert np.mean(scores) != np.mean(scores[::-1])  # by one bit
    ranks = [cells[0].rank for cells in benchmark_table(results, [SALIENT]).contenders.values()]
    assert ranks == ["best", "best"]


def test_low_is_best_where_low_is_wanted_whatever_the_metric():
    results = pd.concat([rows("A", AGE, [7.5]), rows("B", AGE, [8.0])])
    low = score_column("Age MAE", "age", "target", "salient", "mae", "linear", "low")
    table = benchmark_table(results, [AGE, low])
    assert [cell.rank for cell in table.contenders["A"]] == ["second", "best"]


def test_chance_and_pixels_are_never_ranked():
    results = pd.concat([rows("A", SALIENT, [0.6]), rows("pixels", SALIENT, [0.9], space="pixels")])
    table = benchmark_table(results.assign(chance=0.95), [SALIENT])
    assert [table.chance[0].rank, table.pixels[0].rank] == ["", ""]
    assert table.contenders["A"][0].rank == "best"
    assert list(table.contenders) == ["A"]


def test_mean_and_spread_are_those_of_numpy():
    scores = np.random.default_rng(0).normal(8, 1, 5)
    (cell,) = benchmark_table(rows("A", AGE, scores), [AGE]).contenders["A"]
    assert (cell.mean, cell.std, cell.n) == pytest.approx((np.mean(scores), np.std(scores, ddof=1), 5))


def test_plain_numbers_keep_their_unit_and_the_decimals_of_the_mean():
    results = pd.concat(
        [rows("A", AGE, [7.28, 7.64], chance=9.5), rows("A", RATIO, [20, 20.62], chance=None)]
    )
    text = to_markdown(benchmark_table(results, [AGE, RATIO]))
    assert row_of(text, "A") == "| A | **7.46 ± 0.25** | **20.3 ± 0.4** |"
    assert row_of(text, "chance") == "| chance | 9.50 | - |"
    assert "percent" not in text


def test_an_infinite_score_has_no_spread():
    text = to_markdown(benchmark_table(rows("A", RATIO, [math.inf, 2.0], chance=None), [RATIO]))
    assert row_of(text, "A") == "| A | **inf** |"


def test_a_negative_score_gets_a_minus_in_latex():
    r2 = score_column("R2", "age", "all", "salient", "r2", "linear", "low")
    assert r"A & \textbf{$-$0.12} \\" in to_latex(benchmark_table(rows("A", r2, [-0.12]), [r2]))


def test_folds_are_runs_and_chance_is_their_mean():
    parts = [rows("A", AGE, [7.0, 8.0], fold=[0, 1], chance=[8.0, 9.0]), failure("A", 0).assign(fold=2)]
    text = to_markdown(benchmark_table(pd.concat(parts), [AGE]))
    assert row_of(text, "chance") == "| chance | 8.50 |"
    assert "Runs: 2 each. Failed cells: A seed 0 fold 2." in text


def test_other_probes_and_spaces_are_other_scores(results):
    mlp = rows("SepVAE (paper)", SALIENT, [0.1, 0.1]).assign(probe="mlp")
    both = rows("SepVAE (paper)", SALIENT, [0.2, 0.2], space="both")
    found = score_rows(pd.concat([results, mlp, both]), SALIENT)
    assert found.loc[found["contender"] == "SepVAE (paper)", "score"].tolist() == [0.8687, 0.8837]


def test_without_pixels_there_is_no_such_row(results):
    table = benchmark_table(results[results["contender"] != "pixels"], [SALIENT])
    assert table.pixels is None
    assert "pixels" not in to_markdown(table)


def test_differences_come_with_interval_and_kind():
    pairs = [
        ComparedPair(SALIENT, "SepVAE", "MMcVAE", Difference(0.0245, -0.001, 0.05, "t over 5 seeds")),
        ComparedPair(AGE, "A|B", "C", Difference(-0.5, math.nan, math.nan, "3 seeds, no interval below 5")),
    ]
    assert difference_table(pairs).splitlines() == [
        "| score | contenders | difference | 95 % interval | kind |",
        "|---|---|---|---|---|",
        "| Glss/Hats Acc salient ↑ | SepVAE minus MMcVAE | +2.45 | -0.10 to +5.00 | t over 5 seeds |",
        r"| Age MAE ↑ | A\|B minus C | -0.500 | - | 3 seeds, no interval below 5 |",
        "",
        "The arrow says which way is better. Accuracy and AUC in percentage points.",
    ]


def test_what_is_left_out_has_a_dash_and_a_reason():
    site = score_column("site", "site", "target", "salient", "accuracy", "linear", "low")
    table = benchmark_table(rows("A", AGE, [7.0]), [AGE, site], left_out="site")
    assert row_of(to_markdown(table), "A") == "| A | **7.00** | - |"
    assert table.note.endswith("No score of site: all samples that a fold tests have one value of it.")
    assert "No score" not in benchmark_table(rows("A", AGE, [7.0]), [AGE], left_out="site").note


def test_a_collapsed_salient_space_is_told():
    results = pd.DataFrame({"contender": ["A", "A"], "seed": [0, 1], "fold": [None, None], "error": None})
    results = results.assign(attribute=None, population=None, probe=None, chance=None)
    results = results.assign(metric="active_units", space="salient", score=[0.0, 16.0])
    column = score_column("units", "", "", "salient", "active_units", "", "high")
    note = benchmark_table(results, [column]).note
    assert note.endswith("No salient dimension in use, so that scores of salient say little: A seed 0.")
