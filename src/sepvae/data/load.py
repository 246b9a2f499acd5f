"""`list_data`: detect the format of DATA and list its samples."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from sepvae.checks import guess_background
from sepvae.codes import Kind
from sepvae.data.brats import is_brats, list_brats
from sepvae.data.cells import CellRules
from sepvae.data.columns import takes_group
from sepvae.data.folders import list_image_folder
from sepvae.data.image_table import list_array, list_image_table
from sepvae.data.manifest import Manifest
from sepvae.data.packed import is_packed, list_packed
from sepvae.data.published import is_celeba, is_kermany, list_celeba, list_kermany
from sepvae.data.regions import list_regions
from sepvae.data.volume_table import list_volumes, name_volumes
from sepvae.errors import DataError

TABLES = {".csv", ".tsv", ".tab", ".txt"}
ARRAYS = {".npy", ".npz"}


def kind_of(path: Path) -> str:
    """Return "packed", "folder", "array" or "table"; a file of any other suffix may be a table."""
    suffix = path.suffix.lower()
    if is_packed(path):
        return "packed"
    if path.is_dir() or not (path.is_file() or suffix in TABLES | ARRAYS):
        return "folder"
    return "array" if suffix in ARRAYS else "table"


@takes_group
def list_data(
    data: str | Path,
    *,
    images: str | None = None,
    features: Sequence[str] | None = None,
    root: str | Path | None = None,
    table: str | Path | None = None,
    label: str | None = None,
    subject: str | None = None,
    id: str | None = None,  # noqa: A002  (the word of this library)
    attributes: Mapping[str, Kind | None] | None = None,
    pattern: str | Sequence[str] | None = None,
    modality: str | None = None,
    assume_orientation: str | None = None,
    background: str | None = None,
    targets: Sequence[str] = (),
    limit: int | None = None,
    limit_by: str | None = None,
    labelled: bool = True,
    two_labels: bool = True,
    label_names: Mapping[str, str] | None = None,
    missing: Sequence[str] | None = None,
    not_missing: Sequence[str] | None = None,
    encoding: str | None = None,
) -> tuple[Manifest, str]:
    """
    Detect the format of DATA, and list its samples; return the manifest and the name of its reader.

    DATA is an image folder, the downloaded folder of CelebA, Kermany or BraTS, a table (csv, tsv), an array
    (npy, npz) with its table, or a packed store (zarr). `labelled=False` lists data without labels.
    `two_labels=False` keeps the labels as they are if no background or target is named and the labels do not
    show the background. Keys of `label_names` that do not occur are ignored.

    >>> manifest, reader = list_data("celeba", attributes={"Male": None})  # doctest: +SKIP
    """
    path, wanted = Path(data), dict(attributes or {})
    rules = CellRules(tuple(missing or ()), tuple(not_missing or ()), encoding)
    names = {"label": label, "subject": subject, "id": id}
    columns: dict[str, Any] = {**names, "rules": rules}
    reader = kind_of(path)
    if reader != "table":
        what = {"folder": "a folder", "array": "an array"}.get(reader, "a packed store")
        _refuse(path, what, **{"assume-orientation": assume_orientation})
    if not path.exists():
        it = {
            "folder": "a folder with one subfolder of images per label",
            "table": "a table",
            "array": "an array",
            "packed": "a packed store",
        }[reader]
        raise DataError(f"{path}: wanted {it}, found nothing; check the path")
    if reader == "packed":
        _refuse(path, "a packed store", images=images, features=features, root=root, table=table)
        _refuse(path, "a packed store", pattern=pattern, modality=modality)
        _need_label(path, label, labelled)
        manifest = list_packed(path, **columns, attributes=wanted)
    elif reader == "array":
        _refuse(path, "an array", images=images, features=features, root=root)
        _refuse(path, "an array", pattern=pattern, modality=modality)
        beside = Path(table) if table is not None else _table_beside(path)
        _need_label(beside, label, labelled)
        manifest = list_array(path, table=beside, **columns, attributes=wanted)
    elif reader == "table":
        if path.suffix.lower() not in TABLES and images is None and features is None:
            raise DataError(
                f"{path}: wanted a folder of images, a table (csv, tsv), an array (npy, npz) or a packed "
                "store (zarr); unpack it, or save it as one of these"
            )
        _refuse(path, "a table", table=table, pattern=pattern, modality=modality)
        _need_label(path, label, labelled)
        manifest, reader = _list_table(
            path, images, features, root, {**columns, "attributes": wanted}, assume_orientation
        )
    else:
        _refuse(path, "a folder", images=images, features=features, root=root, table=table, **names)
        _refuse(path, "a folder", encoding=encoding)
        manifest, reader = _list_folder(path, wanted, pattern, modality, labelled, rules)
    manifest = manifest.named(label_names or {})
    named = background is not None or len(targets) > 0
    if labelled and (two_labels or named or _tells_background(manifest)):
        manifest = manifest.of_two_labels(background, targets)
    return manifest.limited(limit, limit_by), reader


def _tells_background(manifest: Manifest) -> bool:
    """Return whether there are two labels, and the background is known or guessed from words."""
    labels = manifest.about["label"].unique()
    told = manifest.background is not None or (len(labels) and guess_background(labels).why != "number")
    return len(labels) == 2 and bool(told)


def _list_table(
    path: Path,
    images: str | None,
    features: Sequence[str] | None,
    root: str | Path | None,
    columns: dict[str, Any],
    assume_orientation: str | None,
) -> tuple[Manifest, str]:
    """List a table of images, volumes or features."""
    if (images is None) == (features is None):
        raise DataError(
            f"{path}: name the column of image files or volumes (--images path), or the columns of features "
            f"(--features 'lh_*'){', but not both' * (images is not None)}"
        )
    if images is None:
        _refuse(path, "a table of features", root=root, **{"assume-orientation": assume_orientation})
        return list_regions(path, features=features or (), **columns), "regions"
    if name_volumes(path, images, columns["rules"]):
        columns["assume_orientation"] = assume_orientation
        return list_volumes(path, images=images, root=root, **columns), "volumes"
    _refuse(path, "a table of images", **{"assume-orientation": assume_orientation})
    return list_image_table(path, images=images, root=root, **columns), "table"


def _list_folder(
    path: Path,
    attributes: Mapping[str, Kind | None],
    pattern: str | Sequence[str] | None,
    modality: str | None,
    labelled: bool,
    rules: CellRules,
) -> tuple[Manifest, str]:
    """List a folder of images, or one of the paper's data sets."""
    if is_celeba(path):
        _refuse(path, "CelebA", pattern=pattern, modality=modality)
        if "continuous" in attributes.values():
            raise DataError(f"{path} is CelebA, whose attributes are yes or no; leave :continuous out")
        return list_celeba(path, attributes=list(attributes)), "celeba"
    if is_brats(path):
        _refuse(path, "BraTS", pattern=pattern)
        manifest = list_brats(path, modality=modality or "flair", labelled=labelled)
        if unknown := [name for name in attributes if name not in manifest.attributes]:
            known = ", ".join(map(str, manifest.attributes))
            raise DataError(f"attribute: BraTS has no {unknown[0]!r}; it has {known}")
        return _with_kinds(manifest, attributes, rules), "brats"
    _refuse(path, "a folder of images", modality=modality)
    manifest, reader = list_image_folder(path, pattern=pattern, labelled=labelled), "folder"
    if labelled and pattern is None and is_kermany(manifest):
        manifest, reader = list_kermany(path), "kermany"
    return _with_kinds(manifest, attributes, rules), reader


def _with_kinds(manifest: Manifest, attributes: Mapping[str, Kind | None], rules: CellRules) -> Manifest:
    """Mark missing values, and convert continuous attributes to numbers, since file names give text."""
    about, written = manifest.about.copy(), {}
    for name, kind in attributes.items():
        if name not in manifest.attributes:
            known = ", ".join(map(str, manifest.attributes)) or "none"
            raise DataError(f"attribute: wanted a named group of --pattern ({known}), got {name!r}")
        if not pd.api.types.is_numeric_dtype(about[name]):
            cells = about[name].astype(object).map(str, na_action="ignore").astype("str")
            written[name] = sorted(set(cells[rules.are_missing(cells)].dropna()))
            about[name] = about[name].mask(rules.are_missing(cells))
        if kind == "continuous":
            numbers = pd.to_numeric(about[name], errors="coerce")
            if (wrong := about.loc[about[name].notna() & numbers.isna(), name]).size:
                raise DataError(
                    f"attribute {name}: wanted a number, got {wrong.iloc[0]!r}; correct the --pattern, or "
                    f"make it missing (--missing {wrong.iloc[0]})"
                )
            about[name] = numbers
    kinds = {name: kind for name, kind in attributes.items() if kind}
    return replace(
        manifest,
        about=about,
        kinds={**manifest.kinds, **kinds},
        written={name: words for name, words in written.items() if words},
    )


def _table_beside(path: Path) -> Path:
    """Return the table with the same name as an array."""
    found = [beside for suffix in sorted(TABLES) if (beside := path.with_suffix(suffix)).is_file()]
    if not found:
        raise DataError(
            f"{path}: wanted a table beside it with one row per sample, such as "
            f"{path.with_suffix('.csv').name}; name it by --table"
        )
    return found[0]


def _need_label(path: Path, label: str | None, labelled: bool) -> None:
    if labelled and label is None:
        raise DataError(f"{path}: name the column of labels, such as --label diagnosis")


def _refuse(path: Path, what: str, **options: Any) -> None:
    """Raise if an option is given that has no meaning for this kind of data."""
    if given := [name for name, value in options.items() if value is not None]:
        raise DataError(f"{path} is {what}, for which --{given[0]} has no meaning; leave it out")
