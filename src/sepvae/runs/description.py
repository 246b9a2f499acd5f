"""`describe_run`: data, scores and verdict of a run in Markdown, in numbers only, for a model card."""

from collections.abc import Iterable, Sequence

import pandas as pd

from sepvae.codes import attribute_kind
from sepvae.report.scores import main_rows, question, reading
from sepvae.report.verdict import judge
from sepvae.run_folder import SAMPLE, RunFolder


def describe_run(run: RunFolder) -> str:
    """Return sections on data and results; no id, path, name of a file, or number of a single person."""
    codes, scores = run.codes.required(), run.scores.required()
    people = codes.drop_duplicates(["group", "label", "split"])
    counts = pd.crosstab(people["label"], people["split"])
    attributes = [name for name in run.kinds() if name in codes and name not in SAMPLE]
    named = [f"{name} ({_kind(codes[name], run)})" for name in attributes]
    verdict, rows = judge(scores, run.inspection.read()), main_rows(scores)
    answers = [f"- {answer.question} **{answer.word}**: {answer.seen}" for answer in verdict.answers]
    found = [(row["space"], question(row["attribute"], row["population"]), reading(row)) for row in rows]
    parts = [
        "## Data\n\nNumber of people by label and part; scores are of the test part.",
        _table(["label", *counts.columns], counts.reset_index().to_numpy()),
        f"Attributes: {', '.join(named) or 'none'}.",
        f"## Is common apart from salient?\n\nVerdict: **{verdict}**.",
        "\n".join(answers),
        "## Scores\n\nLinear probes of frozen codes, with intervals over held-out people and chance.",
        _table(["space", "question", "score"], found),
    ]
    return "\n\n".join(parts)


def _kind(values: pd.Series, run: RunFolder) -> str:
    classes = attribute_kind(values, run.kinds()) == "categorical"
    return f"{values.nunique()} classes" if classes else "an amount"


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown; bars of names would end a cell."""
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
