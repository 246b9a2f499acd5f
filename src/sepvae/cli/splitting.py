"""Splits for `fit`, `benchmark` and `rerun`: training and test, folds, or the split of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sepvae.errors import DataError

if TYPE_CHECKING:
    from sepvae.batch import AnyArray, IntArray
    from sepvae.data.manifest import Manifest
    from sepvae.recipes import Recipe


def split_manifest(
    manifest: "Manifest", options: dict[str, Any], recipe: "Recipe | None", *, in_folds: bool
) -> "tuple[list[tuple[IntArray, IntArray]], str]":
    """Return positions of training and test, one pair or one per fold, and the split in words."""
    from sepvae.data.folds import leave_out_folds, make_folds
    from sepvae.data.splits import choose_split

    protocol = recipe.protocol if recipe is not None else None
    by, left_out = (protocol.stratify_by, protocol.leave_out) if protocol else (None, None)
    stratify = None if recipe is None or by is None else _attribute(manifest, recipe, "stratify_by", by)
    file, seed = options["split"], options["split_seed"]
    alike = "" if by is None else f", stratified by {by}"
    if not in_folds or protocol is None or protocol.test_size is not None:
        train, test, how = choose_split(
            manifest.about,
            file=file,
            test_size=options["test_size"],
            stratify=stratify,
            random_state=seed,
        )
        return [(train, test)], how + alike * how.startswith("drawn")
    if file is not None:
        which = f"with folds ({protocol.folds})" if left_out is None else f"that leaves out {left_out}"
        raise DataError(f"--split has no meaning for a recipe {which}; take one with test_size")
    labels, groups = (manifest.about[name].to_numpy(dtype=str) for name in ("label", "group"))
    if recipe is not None and left_out is not None:
        values = _attribute(manifest, recipe, "leave_out", left_out)
        folds, never = leave_out_folds(labels, groups, values)
        names = ", ".join(str(values[test[0]]) for _, test in folds)
        return folds, f"leaves out {left_out} by {left_out}: {names}" + f"; {never}" * bool(never)
    n_folds = protocol.folds or 0
    folds = make_folds(labels, groups, n_folds, stratify=stratify, random_state=seed)
    return folds, f"in {n_folds} folds, seed {seed}{alike}"


@dataclass(frozen=True)
class SamplesOfRun:
    """Samples of a run in a manifest, with their training and test positions in the run's order."""

    manifest: "Manifest"
    train: "IntArray"
    test: "IntArray"
    others: list[str]  # ids of listed samples that are not in the run


def samples_of_run(run: Path, manifest: "Manifest") -> SamplesOfRun:
    """Find the samples of a run in a manifest; raise DataError if one is missing."""
    import numpy as np
    import pandas as pd

    from sepvae.run_folder import RunFolder

    split = RunFolder(run).split.required()
    ids = manifest.about["id"].astype(str)
    mask = ids.isin(split["id"]).to_numpy()
    kept, others = manifest.keep(mask), ids[~mask].tolist()
    positions = pd.Index(kept.about["id"].astype(str)).get_indexer(pd.Index(split["id"]))
    if gone := split["id"][positions < 0].tolist():
        more = f"; {len(others)} others are there, such as {others[0]!r}" if others else ""
        raise DataError(
            f"{manifest.data}: {len(gone)} of the {len(split)} samples of {run} are not there, such as "
            f"{gone[0]!r}{more}; nothing was fitted: give the data as they were"
        )
    in_test = (split["split"] == "test").to_numpy()
    return SamplesOfRun(
        kept,
        np.asarray(positions[~in_test], dtype=np.intp),
        np.asarray(positions[in_test], dtype=np.intp),
        others,
    )


def _attribute(manifest: "Manifest", recipe: "Recipe", key: str, name: str) -> "AnyArray":
    """Return the values of an attribute that a recipe names; raise DataError unless it is categorical."""
    from sepvae.codes import attribute_kind

    table = manifest.attributes
    if name not in table:
        known = ", ".join(map(str, table.columns)) or "none"
        raise DataError(
            f"{recipe.file}: protocol.{key}: the data have no attribute {name!r}; they have {known}"
        )
    if (manifest.kinds.get(name) or attribute_kind(table[name])) == "continuous":
        raise DataError(
            f"{recipe.file}: protocol.{key}: wanted a choice among classes, but {name!r} is an amount"
        )
    values: AnyArray = table[name].to_numpy(dtype=object)
    return values
