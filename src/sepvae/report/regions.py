"""Regions of maps in words and rows, for the page and the terminal."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sepvae.errors import count, listed
from sepvae.evaluation.metrics import MAX_P
from sepvae.report.contents import Contents
from sepvae.run_folder import FEW_VOXELS

IN_TABLE = 20


def region_words(record: Mapping[str, Any], groups: pd.DataFrame) -> list[str]:
    """Return sentences on the atlas, and on the groups."""
    n, few, unnamed = record["regions"], record["few_voxels"], record["unnamed"]
    whole = record["regions_in_atlas"]
    atlas = f"atlas {record['atlas']}: {n} of {count(whole, 'region')} are in the maps"
    if n < whole:
        lost = listed(record["without_voxels"]) if "without_voxels" in record else "the others"
        atlas += f"; {lost}: outside of their mask, or smaller than their voxels"
    lines = [atlas]
    if record.get("in_no_region"):
        share = 100 * record["in_no_region"] / record["voxels"]
        lines.append(
            f"{share:.2g} % of the {record['voxels']:,} voxels of the maps lie in no region: what the "
            "salient part adds there is in no table"
        )
    if few:
        lines.append(
            f"{count(len(few), 'region')} with fewer than {FEW_VOXELS} voxels, such as {listed(few)}"
        )
    if unnamed:
        known = f"{record['names']} names were read, {n - len(unnamed)} of the {n} regions have one"
        lines.append(f"{known}; called by their number: {listed(unnamed)}")
    if record["fitted_on"]:
        lines.append(f"{count(record['fitted_on'], 'sample')} that were fitted on are in no group")
    people = ", ".join(f"{label}: {n_people}" for label, n_people in record["people"].items())
    targets = compared(groups)
    if targets.empty:
        return [*lines, f"groups are not compared, that needs two people of each ({people or 'no labels'})"]
    large, other = (int((targets[p] <= MAX_P).sum()) for p in ("p_difference", "p_adjusted"))
    first = targets.iloc[0]
    return [
        *lines,
        f"what the salient part adds differs between the groups ({people}) in {large} of {n} regions: p at "
        "most 0.05, corrected for all regions by the largest difference, by "
        f"{record['permutations']} permutations of people, not adjusted for covariates",
        f"by t, it differs in {other} regions, at a false discovery rate of 5 %; a region that the model "
        "hardly changes may be among them, so regions are ranked by the difference",
        f"largest difference: {first['region']}, {first['difference']:.3g}; Cohen's d there is "
        f"{first['d']:.2f} [{first['d_low']:.2f}, {first['d_high']:.2f}]",
    ]


def compared(groups: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all targets that have d, those of the largest absolute difference first."""
    known = groups.dropna(subset="d")
    of_all = known[known["label"] == known["label"].iloc[0]] if len(known) else known
    return of_all.sort_values("difference", key=abs, ascending=False, kind="stable")


def region_section(contents: Contents) -> dict[str, Any] | None:
    """Return sentences, figures and the regions of largest d; None if maps were not averaged by region."""
    maps = contents.folder.maps
    if (record := maps.atlas.read()) is None or (groups := maps.region_groups.read()) is None:
        return None
    rows = compared(groups)
    return {
        "lines": region_words(record, groups),
        "bars": contents.figure("regions"),
        "brain": contents.figure("regions_brain"),
        "rows": rows.head(IN_TABLE).to_dict("records"),
        "more": max(0, len(rows) - IN_TABLE),
        "files": [file.path.name for file in (maps.region_groups, maps.region_people)],
    }
