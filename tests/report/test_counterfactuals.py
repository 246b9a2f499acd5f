import pandas as pd

from sepvae.report.counterfactuals import counterfactual_rows

WORDS = {"one": "image", "many": "images", "value": "pixel"}
TABLE = pd.DataFrame(
    [
        ("composition_1", "salient", "background", 0.02, 0.01, 0.03, 0.1),
        ("composition_1", "salient", "target", 0.03, 0.02, 0.04, 0.12),
        ("change", "salient of SZ", "own target", 0.05, 0.04, 0.06, 0.1),
        ("minimality", "salient", "target", 0.0, 0.0, 0.17, 0.5),
    ],
    columns=["measure", "part", "population", "score", "low", "high", "reference"],
)


def test_rows_have_a_cell_for_each_population_and_no_verdict() -> None:
    populations, (composition, change, minimality) = counterfactual_rows(TABLE, WORDS)
    assert populations == ["background", "target", "own target"]
    assert composition.cells["target"].score == "0.0300"
    assert composition.cells["target"].interval == "0.0200 to 0.0400"
    assert composition.chance == "0.100 or 0.120"
    assert composition.cells["own target"] is None
    assert change.name == "Change: 'salient of SZ' removed"
    assert "all but its own target" in change.note
    assert minimality.name == "Minimality: background images that are nearer"
    assert minimality.cells["target"].marks["chance"] == 50
    found = [one.verdict for row in (composition, change) for one in row.cells.values() if one]
    assert found == [""] * 3
