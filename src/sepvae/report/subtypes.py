"""Subtypes and single people, for the page and the terminal."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sepvae.codes import attribute_columns
from sepvae.errors import listed
from sepvae.evaluation.patient_sheet import OVER_SEEDS, sheet_note
from sepvae.report.contents import Contents
from sepvae.run_folder import IMAGE, N_OWN

MAX_PEOPLE = 200  # rows on the page
MAX_ATTRIBUTES = 8  # columns
N_FEATURES = 3  # of a person's own, on the page


def subtype_lines(record: Mapping[str, Any]) -> list[str]:
    """
    Return the verdict of `subtypes.json`, and what held-out patients, k-means and raw measures say.

    >>> subtype_lines({"verdict": "no subtypes: ...", "subtypes": 1, "people": 90, "held_out": 30})[0]
    'no subtypes: ... (90 training patients)'
    """
    found = record["subtypes"] > 1
    lines = [f"{record['verdict']} ({record['people']} training patients)"]
    if found:
        lines.append(_strength(record))
        lines.append(_confirmed(record, f"{record['held_out']} held-out patients"))
        lines.append(
            f"k-means on the same codes: adjusted Rand index {record['kmeans']:.2f} with the subtypes"
        )
    if raw := record.get("raw"):
        lines.append(f"raw measures: {raw['verdict']}")
        if found or raw["subtypes"] > 1:
            lines.append(_confirmed(raw, f"k-means of raw measures in {raw['n_kmeans']}, held-out patients"))
        if found:
            lines.append(
                f"raw measures and salient codes agree by {raw['agreement']:.2f} (adjusted Rand index)"
            )
    else:
        lines.append("raw measures were not looked at: give the data, sepvae subtypes RUN DATA")
    return lines


def _strength(record: Mapping[str, Any]) -> str:
    if "strength" not in record:
        return f"{record['held_out']} held-out patients are too few to cluster on their own"
    null = f"single Gaussians {record['strength_null']:.2f}, p = {record['strength_p']:.2g}"
    return f"prediction strength on held-out patients: {record['strength']:.2f} ({null})"


def _confirmed(record: Mapping[str, Any], who: str) -> str:
    if not record["asked"]:
        return f"{who}: no attribute to compare"
    if not record["confirmed"]:
        return f"{who}: clusters differ in none of {len(record['asked'])} attributes"
    differ = f"clusters differ in {listed(record['confirmed'])}"
    return f"{who}: {differ} (of {len(record['asked'])} attributes, false discovery rate 5 %)"


def subtype_section(contents: Contents) -> dict[str, Any] | None:
    """Return sentences, figure, profile of held-out patients and prototypes; None if none were looked for."""
    files = contents.folder.subtypes
    if (record := files.record.read()) is None:
        return None
    found, table, described = record["subtypes"] > 1, files.people.read(), files.profile.read()
    rows, numbers = [], list(range(1, record["subtypes"] + 1))
    if found and described is not None:
        if "clusters" in described:
            described = described[described["clusters"] == "salient"]
        held_out = described[described["part"] == "test"].fillna({"value": ""})
        for (attribute, value), part in held_out.groupby(["attribute", "value"], sort=False):
            by_subtype = part.set_index("subtype")["share_or_mean"]
            shown = "{:.0%}" if value else "{:.3g}"
            cells = [shown.format(by_subtype[n]) if n in by_subtype else "-" for n in numbers]
            p = part["p_adjusted"].iloc[0]
            rows.append(
                {"name": f"{attribute}: {value}" if value else attribute, "cells": cells}
                | {"p": "-" if pd.isna(p) else f"{p:.2g}"}
            )
    prototypes: dict[int, str] = {}
    if table is not None:
        nearest = table[table["prototype"].astype(bool)].drop_duplicates("subtype")
        prototypes = dict(zip(nearest["subtype"], nearest["id"], strict=True))
    return {
        "lines": subtype_lines(record),
        "figure": contents.figure("subtypes"),
        "numbers": numbers,
        "rows": rows,
        "prototypes": prototypes,
    }


def people_section(contents: Contents) -> dict[str, Any] | None:
    """Return one row per person of the test part with load, centile and attributes; None without the file."""
    if (people := contents.folder.people.read()) is None or contents.codes is None:
        return None
    from sepvae.plotting.codes import as_words

    maps, about = _own_maps(contents)
    later = ~people["id"].isin([id_ for id_, one in maps.items() if one["words"] or one["picture"]])
    people = people.loc[later.sort_values(kind="stable").index].reset_index(drop=True)
    codes = contents.codes
    controls = codes[(codes["split"] == "test") & (codes["y"] == 0)]
    attributes = attribute_columns(codes)[:MAX_ATTRIBUTES]
    known = codes.set_index("id")[attributes].reindex(people["id"]).apply(as_words).fillna("-")
    shown = zip(people.head(MAX_PEOPLE).to_dict("records"), known.to_numpy().tolist(), strict=False)
    rows = [row | {"values": values, "map": maps.get(row["id"])} for row, values in shown]
    return {
        "note": sheet_note(controls["group"].nunique(), people),
        "rows": [] if people["salient_load"].isna().all() else rows,
        "seeds": OVER_SEEDS[0] in people,
        "maps": any(row["map"] for row in rows),
        "about_maps": about,
        "attributes": attributes,
        "more": max(0, len(people) - MAX_PEOPLE),
    }


def _own_maps(contents: Contents) -> tuple[dict[str, dict[str, Any]], str]:
    """Return by id the map of a person, in words, as a picture or as the name of its file, and what it is."""
    maps = contents.folder.maps
    if (own := maps.own.read()) is not None:
        number = own[["feature", "added_sd", "z"]].itertuples(index=False)
        words = pd.Series([f"{name} {sd:+.2f} ({z:+.1f})" for name, sd, z in number], dtype=str)
        of_id = words.groupby(own["id"]).agg(lambda some: "; ".join(some.head(N_FEATURES)))
        about = "What the salient part adds is in standard deviations of the feature, in brackets z of what "
        about += f"it adds to held-out controls; {maps.own.path.name} has {N_OWN} features of each person."
        return {str(name): {"words": text} for name, text in of_id.items()}, about
    if (samples := maps.samples.read()) is None:
        return {}, ""
    named = samples.dropna(subset="file")
    files = dict(zip(named["id"].astype(str), named["file"], strict=True))
    pictures = {name: contents.map_picture(file) for name, file in files.items()}
    found = {name: {"words": "", "picture": pictures[name], "file": file} for name, file in files.items()}
    if not any(pictures.values()):
        return found, ""
    about = "Red is more with the salient part, blue is less, on one scale for all who have a picture."
    if maps.volume(IMAGE).exists():
        about += " Of a volume it is the axial slice in which this map is largest, with the left on the left."
    return found, about
