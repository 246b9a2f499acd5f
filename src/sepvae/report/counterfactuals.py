"""`counterfactuals.csv` for pages: one row for each measure, one cell for each population."""

from dataclasses import replace

import pandas as pd

from sepvae.report.scores import Row, Score, cell, number

WORDS = {  # of a measure, and how to read it
    "mean_sample": (
        "The mean background {one}",
        "to the input, for comparison: what is reached by drawing the same for everyone",
    ),
    "composition_1": ("Composition: encoded and decoded once", "to the input; 0 is best"),
    "composition_10": (
        "Composition: encoded and decoded 10 times",
        "to the input; no more than after one time is best",
    ),
    "second_pass": ("Encoded and decoded twice", "to the reconstruction, for comparison: nothing is changed"),
    "reversibility": (
        "Reversibility: {part} removed, then given back",
        "to the reconstruction, encoded again in between; no more than the row above is best",
    ),
    "change": ("Change: {part} removed", "to the reconstruction; 0 is best for the background"),
    "minimality": (
        "Minimality: background {many} that are nearer",
        "share of them nearer to the reconstruction than it is without its salient part; 0 is best",
    ),
}
CHANGE_OF_BLOCK = "to the reconstruction; 0 is best for all but its own target"
SHARES = ("minimality",)


def counterfactual_rows(table: pd.DataFrame, words: dict[str, str]) -> tuple[list[str], list[Row]]:
    """Return the populations, and one row per measure and part; `words` are those for samples."""
    populations, rows = [str(name) for name in table["population"].unique()], []
    for key, found in table.groupby(["measure", "part"], sort=False):
        measure, part = map(str, key)
        named = "the salient part" if part == "salient" else f"'{part}'"
        name, note = WORDS.get(measure, (measure, ""))
        if part.startswith("salient of "):
            note = CHANGE_OF_BLOCK
        metric = "balanced_accuracy" if measure in SHARES else measure  # shares have two decimals
        known: list[Score] = found.assign(metric=metric, chance=found["reference"]).to_dict("records")
        high = 1.0 if measure in SHARES else 1.05 * float(found[["score", "high", "reference"]].max().max())
        cells = {row["population"]: replace(cell(row, 0, high), verdict="") for row in known}
        references = dict.fromkeys(number(row["reference"], metric) for row in known)
        of_populations = {population: cells.get(population) for population in populations}
        title = name.format(part=named, **words)
        rows.append(Row(measure, title, note, " or ".join(references), of_populations))
    return populations, rows
