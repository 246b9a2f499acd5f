"""Splits for `fit`, `benchmark` and `rerun`: training and test, folds, or the split of a run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray, IntArray
from sepvae.codes import attribute_kind
from sepvae.data.manifest import Manifest
from sepvae.data.splits import choose_split, leave_out_folds, make_folds
from sepvae.errors import DataError
from sepvae.recipes import Recipe
from sepvae.run_folder import RunFolder


@dataclass(frozen=True)
class Splitting:
    """How samples are split: as a file says, else as the data say, else at random or into folds."""

    recipe: Recipe | None = None
    file: Path | None = None
    test_size: float = 0.2
    seed: int = 0
    in_folds: bool = False

    @classmethod
    def of(
        cls,
        recipe: Recipe | None,
        *,
        file: Path | None = None,
        test_size: float | None = None,
        seed: int | None = None,
        in_folds: bool = False,
    ) -> "Splitting":
        """Return a splitting with the recipe's values for those that are None."""
        if test_size is None:
            test_size = 0.2 if recipe is None else recipe.protocol.test_share
        if seed is None:
            seed = 0 if recipe is None else recipe.protocol.split_seed
        return cls(recipe, file, test_size, seed, in_folds)


def split_manifest(manifest: Manifest, splitting: Splitting) -> tuple[list[tuple[IntArray, IntArray]], str]:
    """Return positions of training and test, one pair or one per fold, and the split in words."""
    recipe, seed = splitting.recipe, splitting.seed
    protocol = recipe.protocol if recipe is not None else None
    by, left_out = (protocol.stratify_by, protocol.leave_out) if protocol else (None, None)
    stratify = None if recipe is None or by is None else _attribute(manifest, recipe, "stratify_by", by)
    alike = "" if by is None else f", stratified by {by}"
    if not splitting.in_folds or protocol is None or protocol.test_size is not None:
        train, test, how = choose_split(
            manifest.about,
            file=splitting.file,
            test_size=splitting.test_size,
            stratify=stratify,
            random_state=seed,
        )
        return [(train, test)], how + alike * how.startswith("drawn")
    if splitting.file is not None:
        ways = f"with folds ({protocol.folds})" if left_out is None else f"that leaves out {left_out}"
        raise DataError(f"--split has no meaning for a recipe {ways}; take one with test_size")
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

    manifest: Manifest
    train: IntArray
    test: IntArray
    others: list[str]  # ids of listed samples that are not in the run


def samples_of_run(run: Path, manifest: Manifest) -> SamplesOfRun:
    """Find the samples of a run in a manifest; raise DataError if one is missing."""
    table = RunFolder(run).split.required()
    ids = manifest.about["id"].astype(str)
    mask = ids.isin(table["id"]).to_numpy()
    kept, others = manifest.keep(mask), ids[~mask].tolist()
    positions = pd.Index(kept.about["id"].astype(str)).get_indexer(pd.Index(table["id"]))
    if gone := table["id"][positions < 0].tolist():
        more = f"; {len(others)} others are there, such as {others[0]!r}" if others else ""
        raise DataError(
            f"{manifest.data}: {len(gone)} of the {len(table)} samples of {run} are not there, such as "
            f"{gone[0]!r}{more}; nothing was fitted: give the data as they were"
        )
    in_test = (table["split"] == "test").to_numpy()
    return SamplesOfRun(
        kept,
        np.asarray(positions[~in_test], dtype=np.intp),
        np.asarray(positions[in_test], dtype=np.intp),
        others,
    )


def _attribute(manifest: Manifest, recipe: Recipe, key: str, name: str) -> AnyArray:
    """Return the values of an attribute that a recipe names; raise DataError unless it is categorical."""
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
