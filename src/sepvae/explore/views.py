"""What is shown of a person: pictures, or bars of the features of a table, and the words below them."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from sepvae.batch import AnyArray
from sepvae.explore.pictures import Painter, Picture
from sepvae.explore.run import ExploredRun
from sepvae.explore.scatter import PLAIN
from sepvae.plotting.palette import TARGET, shortened

N_FEATURES = 14  # bars
ADDED, OTHERS = "what the salient part adds", {"moved": "after moving", "swapped": "that of the other person"}
HOVER = "%{y}: %{x:.3g} sd<br>input %{customdata[0]}, common only %{customdata[1]}<extra></extra>"
COLOURS = (TARGET, "#0b6e8f")  # the second is the accent of the page


def person_pictures(run: ExploredRun, row: int, at: Sequence[int]) -> list[Picture]:
    """Return the input of a person if it is known, both reconstructions, and their difference."""
    person, paint = run.person(row), _painter(run, row, at)
    known = [] if person.input is None else [paint.grey("Input", person.input)]
    full, common_only = paint.grey("Full", person.full), paint.grey("Common only", person.common_only)
    return [*known, full, common_only, paint.difference("Difference", person.full, person.common_only)]


def moved_pictures(run: ExploredRun, row: int, salient: AnyArray, at: Sequence[int]) -> list[Picture]:
    """Return a person decoded with another salient code, and how far that is from the own one."""
    moved, paint = run.decode(row, salient[None])[0], _painter(run, row, at)
    difference = paint.difference("Minus full", moved, run.person(row).full)
    return [paint.grey("Moved", moved), difference]


def swapped_pictures(run: ExploredRun, row: int, donor: int, at: Sequence[int]) -> list[Picture]:
    """Return the other person, and both people with each other's salient part."""
    paint, person, other = _painter(run, row, at), run.person(row), run.person(donor)
    with_other, with_own = run.decode(row, run.salient[[donor]])[0], run.decode(donor, run.salient[[row]])[0]
    return [
        paint.grey("Other person", other.full),
        paint.grey("Person with the other's", with_other),
        paint.difference("Minus full", with_other, person.full),
        paint.grey("Other with the person's", with_own),
    ]


def _painter(run: ExploredRun, row: int, at: Sequence[int]) -> Painter:
    return Painter(run.person(row).full, run.model.grid_, at)


def person_bars(run: ExploredRun, row: int, **others: AnyArray) -> dict[str, Any]:
    """Return plotly's bars of what the salient part adds to features, and of `others` (features,) decoded."""
    person, names = run.person(row), np.array(run.names)[run.model.scaler_.kept_]
    series = {ADDED: person.full - person.common_only}
    series |= {OTHERS[name]: decoded - person.common_only for name, decoded in others.items()}
    known = [np.full(len(names), np.nan) if person.input is None else person.input, person.common_only]
    size = np.max(np.abs([*series.values()]), axis=0)
    top = np.argsort(-size, kind="stable")[:N_FEATURES][::-1]  # plotly draws the last one on top
    bar = {
        "type": "bar",
        "orientation": "h",
        "y": [escape(shortened(names[i])) for i in top],
        "customdata": np.column_stack(known)[top].round(3).tolist(),
        "hovertemplate": HOVER,
    }
    bars = [
        bar | {"name": name, "x": values[top].round(4).tolist(), "marker": {"color": colour}}
        for (name, values), colour in zip(series.items(), COLOURS, strict=False)
    ]
    layout = {
        **PLAIN,
        "margin": {"l": 8, "r": 8, "t": 40, "b": 40},
        "xaxis": {
            "title": {"text": "standard deviations", "font": {"size": 12}},
            "nticks": 5,
            "tickangle": 0,
        },
        "yaxis": {"automargin": True, "tickfont": {"size": 11}},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "reversed"},
        "showlegend": True,
        "bargap": 0.25,
    }
    return {"data": bars[::-1], "layout": layout}


def surface_words(run: ExploredRun, row: int) -> str:
    """Return what the salient part changes of a surface, which this page does not draw."""
    person = run.person(row)
    size = float(np.abs(person.full - person.common_only).mean())
    return (
        f"The salient part changes a vertex by {size:.2g} standard deviations on average. This "
        "page does not draw surfaces: sepvae maps RUN DATA writes and draws them."
    )


def about_person(run: ExploredRun, row: int) -> str:
    """Return where the pictures of a person come from."""
    if not run.decodes:
        return f"{type(run.model).__name__} has no decoder, so there are no reconstructions to show."
    found = run.person(row)
    words = ["Reconstructions are decoded from the posterior means in codes.csv."]
    if found.input is None:
        words.append("The run folder does not hold this person's input: sepvae explore RUN DATA shows it.")
    elif found.source == run.folder.thumbnails.path.name:
        words.append(f"The input is a thumbnail of at most 48 pixels ({found.source}).")
    elif found.source != "DATA":
        words.append(f"The input is from {found.source}.")
    if names := getattr(run.model, "condition_on", None):
        words.append(f"Decoded with the person's own {_listed(names)}.")
    model = run.model
    if removed := [*([model.harmonise] if model.harmonise else []), *_as_list(model.residualise)]:
        words.append(f"Effects of {_listed(removed)} are removed and not put back.")
    if run.kind == "table":
        words.append("Bars are in standard deviations of the training part.")
    return " ".join(words)


def _as_list(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())


def _listed(names: Any) -> str:
    return ", ".join(_as_list(names))
