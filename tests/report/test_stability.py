from typing import Any

import pandas as pd
import pytest

from sepvae.report.stability import answer, describe_stability


def row(measure: str, score: float, space: str = "salient", **more: Any) -> dict[str, Any]:
    blank = {
        "first": "",
        "second": "",
        "low": score - 0.05,
        "high": score + 0.05,
        "chance": 0.0,
        "p_value": 0.01,
    }
    about = {
        "contender": "SepVAE (default)",
        "of": "seeds",
        "space": space,
        "measure": measure,
        "score": score,
    }
    return about | blank | more


TABLE = pd.DataFrame(
    [
        row("alignment", 0.9),
        row("neighbours", 0.7, chance=0.2),
        row("subtypes, 2", 0.1, p_value=0.2),
        row("subtypes, 3", 0.3),
        row("axis", 0.7, first="seed 3", axis="salient1"),
        row("axis", 0.4, first="seed 3", axis="salient0"),
        row("central", 0.92, first="seed 3"),
        row("central", 0.88, first="seed 0"),
        row("alignment", 0.02, "common", p_value=0.4),
        row("map", 0.95, low=None, high=None, p_value=None),
        row("map share", 0.5, low=None, high=None, p_value=None),
    ]
)


def test_lines_say_whether_another_seed_says_the_same() -> None:
    assert describe_stability(TABLE) == [
        "SepVAE (default), 2 seeds",
        "  salient codes of targets: 0.90 (0.85 to 0.95), chance 0.00; another seed says the same",
        "  nearest targets: 0.70 (0.65 to 0.75), chance 0.20; another seed says the same in part",
        "  group map: 0.95, chance 0.00; another seed says the same",
        "  common codes: 0.02 (-0.03 to 0.07), chance 0.00; "
        "another seed agrees no better than with shuffled people",
        "  subtypes: at best with 3 clusters, 0.30 (0.25 to 0.35), chance 0.00; "
        "another seed says little of the same",
        "  salient axes of seed 3 found in the other fits: 1 of 2",
        "  share of the map that reproduces (ICC 0.5 or more): 50%",
        "  most central: seed 3 (mean alignment with the others 0.92)",
    ]


def test_contenders_are_ranked_by_how_well_they_reproduce() -> None:
    better = TABLE.assign(contender="MMcVAE (default)")
    better.loc[better["measure"] == "alignment", "score"] = 0.97
    lines = describe_stability(pd.concat([TABLE, better], ignore_index=True))
    assert lines[-1] == (
        "most reproducible salient codes over seeds: MMcVAE (default) 0.97, SepVAE (default) 0.90"
    )
    other_people = describe_stability(TABLE.assign(of="bootstraps"))
    assert other_people[1].endswith("another sample of people says the same")


@pytest.mark.parametrize(
    ("score", "words"),
    [(0.86, "says the same"), (0.84, "says the same in part"), (0.62, "says little of the same")],
)
def test_answers_count_from_chance(score: float, words: str) -> None:
    mean = {"score": score, "chance": 0.25, "p_value": 0.01}
    assert answer(mean, "seed") == f"another seed {words}"


@pytest.mark.parametrize(
    ("agreement", "p", "words"),
    [
        (
            0.93,
            0.01,
            "2 consensus subtypes: fits agree by 0.93 (adjusted Rand index of 2 clusters of training",
        ),
        (0.93, 0.3, "no consensus subtypes: fits agree by 0.93"),
        (0.26, None, "training patients), wanted 0.8"),
    ],
)
def test_a_consensus_needs_fits_that_agree_and_no_gaussian(agreement: float, p: Any, words: str) -> None:
    found = row("consensus, 2", agreement, low=None, high=None, p_value=p)
    (line,) = [x for x in describe_stability(pd.concat([TABLE, pd.DataFrame([found])])) if "consensus" in x]
    assert words in line
    assert ("one Gaussian or a continuum" in line) == (p == 0.3)


def test_seeds_that_change_nothing_are_told_so() -> None:
    same = TABLE.assign(score=1.0)
    _, line = describe_stability(same)
    assert line.startswith("  all seeds give the same codes")
    assert len(describe_stability(same.assign(of="bootstraps"))) > 2
