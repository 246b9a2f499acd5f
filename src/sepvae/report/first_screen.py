"""First screen of a page: the numbers that a reader needs first, pictures of four people, or features."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray
from sepvae.errors import count
from sepvae.report.contents import Contents, webp_uri
from sepvae.report.scores import (
    Cell,
    Score,
    cell,
    gain,
    is_known,
    main_rows,
    metric_words,
    number,
    rows_of,
)

QUARTILES = {0.25: "lower quartile", 0.5: "median", 0.75: "upper quartile"}
SIDE = 144  # pixels at most: twice the width on the page
N_FEATURES = 6
MOST_LABELS = 3  # that are counted one by one


class KeyNumber(NamedTuple):
    """One number of the first screen; `cell` is None for a count, which has neither chance nor interval."""

    title: str
    cell: Cell | None
    score: str
    note: str
    space: str = ""


class Person(NamedTuple):
    """One column of the strip: input, without salient part and difference as data URIs."""

    name: str
    label: str
    size: str  # of what the salient part adds, among the person's group; empty if the run does not say
    pictures: list[str]


def key_numbers(contents: Contents) -> list[KeyNumber]:
    """Return up to four scores, of the label first, and the number of people held out."""
    found = [] if contents.scores is None else [*_of_label(contents.scores), *_best(contents.scores)]
    if contents.scores is not None and len(found) < 4:
        found += _without_probe(contents.scores)
    return [*found[:4], *_held_out(contents)]


def _of_label(scores: pd.DataFrame) -> Iterator[KeyNumber]:
    """Yield how well either space tells background and target apart."""
    of_label = {row["space"]: row for row in main_rows(scores) if row["attribute"] == "label"}
    for space, note in (("salient", ""), ("common", "; above it is a leak")):
        if row := of_label.get(space):
            yield _scored(f"Groups from {space}", row, "background or target", note)


def _best(scores: pd.DataFrame) -> Iterator[KeyNumber]:
    """Yield the attribute that each space knows best."""
    rows = [row for row in main_rows(scores) if row["attribute"] != "label"]
    for space in ("salient", "common"):
        if asked := [row for row in rows if row["space"] == space]:
            best = max(asked, key=lambda row: (is_known(row), gain(row)))
            note = f"; the best of {len(asked)} questions" * (len(asked) > 1)
            yield _scored(f"Attribute from {space}", best, best["question"], note)


def _without_probe(scores: pd.DataFrame) -> Iterator[KeyNumber]:
    """Yield what reconstructions explain, and how much targets vary in salient, compared with background."""
    for metric, space, title in (
        ("explained_variance", "both", "Reconstructions"),
        ("variance_ratio", "salient", "Spread in salient"),
    ):
        for row in rows_of(scores, metric=metric, space=space)[:1]:
            yield _scored(title, row, f"{row['population']} samples")


def _scored(title: str, row: Score, asked: str, note: str = "") -> KeyNumber:
    """Return a score with what was asked, its metric and chance."""
    shown = cell(row, 0.0 if math.isnan(row["low"]) else min(0.0, row["low"]), 1.0)
    chance = "" if math.isnan(row["chance"]) else f", chance {number(row['chance'], row['metric'])}"
    about = f"{asked}: {metric_words(row['metric'])}{chance}{note}"
    return KeyNumber(title, shown, shown.score, about, row["space"])


def _held_out(contents: Contents) -> Iterator[KeyNumber]:
    """Yield the number of people that scores are of."""
    split = contents.codes if contents.split is None else contents.split
    if split is None or (test := split[split["split"] == "test"]).empty:
        return
    people, n = test.groupby("label")["group"].nunique(), test["group"].nunique()
    of_labels = ", ".join(f"{label}: {k}" for label, k in people.items())
    samples = f"{len(test)} {contents.words['many']}" if len(test) != n else ""
    fitted = f"{count(split.loc[split['split'] != 'test', 'group'].nunique(), 'other')} to fit on"
    notes = [of_labels if len(people) <= MOST_LABELS else "", samples, fitted]
    yield KeyNumber("People held out", None, str(n), "; ".join(filter(None, notes)))


def strip(contents: Contents) -> dict[str, Any] | None:
    """Return pictures of one control and three targets, chosen when maps were written; None without them."""
    people = contents.folder.maps.people.read()
    if people is None or "images" not in people or not len(people["y"]):
        return None
    from sepvae.plotting.cells import as_drawn, in_colours, limit_of, signed

    controls, targets = (np.flatnonzero(people["y"] == y) for y in (0, 1))
    shown = [*controls[len(controls) // 2 :][:1].tolist(), *targets[:3].tolist()]
    added = signed(people["added"])
    limit, codes = limit_of(added[shown]), contents.codes
    labels = {} if codes is None else dict(zip(codes["id"], codes["label"], strict=True))
    sizes = people.get("quantiles")
    return {
        "people": [
            Person(
                str(people["ids"][i]),
                str(labels.get(str(people["ids"][i]), people["labels"][people["y"][i]])),
                "" if sizes is None else QUARTILES.get(float(sizes[i]), ""),
                [
                    *(_uri(as_drawn(people[name][i])) for name in ("images", "without")),
                    _uri(in_colours(added[i], limit)),
                ],
            )
            for i in shown
        ],
        "chosen": sizes is not None,
        "limit": f"{limit:.2g}",
        "pixelated": max(people["images"].shape[-2:]) < SIDE,
    }


def _uri(values: AnyArray) -> str:
    from PIL import Image

    finite = np.nan_to_num(values.astype(float)).clip(0, 1)
    image = Image.fromarray(np.rint(255 * finite).astype(np.uint8))
    image.thumbnail((SIDE, SIDE))
    return webp_uri(image)


def top_features(contents: Contents) -> list[dict[str, Any]]:
    """Return the features of a table that the salient part changes most, by Cohen's d; empty without maps."""
    regions = contents.folder.maps.regions.read()
    if regions is None or not {"d", "background_mean", "target_mean"} <= set(regions):
        return []
    table = regions.dropna(subset="d").sort_values("d", key=abs, ascending=False, kind="stable")
    rows: list[dict[Any, Any]] = table.head(N_FEATURES).to_dict("records")
    most = max((abs(row["d"]) for row in rows), default=0.0) or 1.0
    return [row | {"marks": {"chance": 50.0, "score": round(50 + 50 * row["d"] / most, 1)}} for row in rows]
