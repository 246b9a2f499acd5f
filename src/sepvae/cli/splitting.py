"""How samples are split for `fit` and `benchmark`: in two, in folds, or by an attribute that is left out."""

from typing import TYPE_CHECKING, Any

from sepvae.errors import DataError

if TYPE_CHECKING:
    from sepvae.batch import AnyArray, IntArray
    from sepvae.data.listing import Listing
    from sepvae.recipes import Recipe


def split_listing(
    listing: "Listing", options: dict[str, Any], recipe: "Recipe | None", *, in_folds: bool
) -> "tuple[list[tuple[IntArray, IntArray]], str]":
    """Positions of train and test, once or for each of the recipe's folds, and what was done in words."""
    from sepvae.data.folds import leave_out_folds, make_folds
    from sepvae.data.splits import choose_split

    protocol = recipe.protocol if recipe is not None else None
    by, left_out = (protocol.stratify_by, protocol.leave_out) if protocol else (None, None)
    stratify = None if recipe is None or by is None else _attribute(listing, recipe, "stratify_by", by)
    file, seed = options["split"], options["split_seed"]
    alike = "" if by is None else f", stratified by {by}"
    if not in_folds or protocol is None or protocol.test_size is not None:
        train, test, how = choose_split(
            listing.about,
            file=file,
            test_size=options["test_size"],
            stratify=stratify,
            random_state=seed,
        )
        return [(train, test)], how + alike * how.startswith("drawn")
    if file is not None:
        told = f"with folds ({protocol.folds})" if left_out is None else f"that leaves out {left_out}"
        raise DataError(f"--split has no meaning for a recipe {told}; take one with test_size")
    labels, groups = (listing.about[name].to_numpy(dtype=str) for name in ("label", "group"))
    if recipe is not None and left_out is not None:
        values = _attribute(listing, recipe, "leave_out", left_out)
        folds, never = leave_out_folds(labels, groups, values)
        names = ", ".join(str(values[test[0]]) for _, test in folds)
        return folds, f"leaves out {left_out} by {left_out}: {names}" + f"; {never}" * bool(never)
    n_folds = protocol.folds or 0
    folds = make_folds(labels, groups, n_folds, stratify=stratify, random_state=seed)
    return folds, f"in {n_folds} folds, seed {seed}{alike}"


def _attribute(listing: "Listing", recipe: "Recipe", key: str, name: str) -> "AnyArray":
    """Values of an attribute that a recipe names, which must be a choice among classes."""
    from sepvae.codes import attribute_kind

    table = listing.attributes
    if name not in table:
        known = ", ".join(map(str, table.columns)) or "none"
        raise DataError(
            f"{recipe.file}: protocol.{key}: the data have no attribute {name!r}; they have {known}"
        )
    if (listing.kinds.get(name) or attribute_kind(table[name])) == "continuous":
        raise DataError(
            f"{recipe.file}: protocol.{key}: wanted a choice among classes, but {name!r} is an amount"
        )
    values: AnyArray = table[name].to_numpy(dtype=object)
    return values
