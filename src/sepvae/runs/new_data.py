"""Data of a run, or new data, read as recipe.yaml of the run says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sepvae.batch import Source
from sepvae.data import bundled
from sepvae.data.bundled import DIGITS
from sepvae.data.formats import ANNDATA, FOLDER, STORE, TABLE, Kind, kind_of
from sepvae.data.h5ad import open_h5ad
from sepvae.data.joining import read_joined
from sepvae.data.loading import format_named, list_data, read_manifest
from sepvae.data.manifest import Manifest
from sepvae.data.spec import DataSpec, spec_of_run
from sepvae.errors import DataError
from sepvae.mesh import Mesh
from sepvae.methods import load
from sepvae.methods.base import ContrastiveEstimator
from sepvae.preprocessing.covariates import covariates_needed
from sepvae.progress import Say, progress_bar
from sepvae.run_folder import RunFolder
from sepvae.runs.dataset import RECORDED, notes_on_samples, notes_on_skipped

# The reader of data of a kind, by the axes of one sample, for runs that do not record it.
READERS = {
    1: {"a table": "regions", "an AnnData file": "anndata"},
    3: {"a folder": "folder", "a table": "table", "an array": "array"},
    4: {"a table": "volumes", "a packed store": "packed"},
}


class Samples(NamedTuple):
    """Training and test samples of a run, read again."""

    train: Source
    test: Source
    quality_metrics: pd.DataFrame | None = None


def read_new_data(
    run: Path,
    data: Path,
    root: Path | None = None,
    tables: Sequence[Path] = (),
    *,
    labelled: bool = True,
    say: Say,
) -> Source:
    """Read all samples of new data as the recipe of a run says, and say notes on them."""
    manifest, spec = list_as_run(run, data, root, tables, labelled=labelled)
    with progress_bar("reading") as progress:
        source, quality_metrics = read_manifest(manifest, spec, progress)
    notes = [note.message for note in manifest.table_notes if note.code != "features-taken"]
    for note in notes + notes_on_skipped(manifest) + notes_on_samples(source, quality_metrics):
        say(f"note: {note}")
    return source


def has_bundled_data(run: Path) -> bool:
    """Return whether a run was fitted on data that come with the library."""
    return bool(RunFolder(run).recipe.required().get("data", {}).get("reader") == DIGITS)


def read_again(
    run: Path,
    data: Path | None,
    say: Say,
    again: str = "rerun RUN DATA",
    *,
    root: Path | None = None,
    tables: Sequence[Path] = (),
) -> Samples:
    """Read the samples of a run in its order; errors name the command `again`."""
    about, bundled_data = RunFolder(run).recipe.required().get("data", {}), has_bundled_data(run)
    recorded = {"reader", "fingerprint"} if bundled_data else {*RECORDED[:7], "targets", "centre"}
    if not recorded <= about.keys():
        raise DataError(f"{run}: its recipe.yaml does not say how the data were read; repeat it in Python")
    if bundled_data:
        if given := next((x for x in (data, root, *tables) if x is not None and str(x) != DIGITS), None):
            raise DataError(
                f"{given}: {run} was fitted on {DIGITS}, which come with the library; leave it out"
            )
        return Samples(*bundled.load_digits_on_photos(about.get("split_seed", 0)))
    if data is None:
        name = about.get("name", "data")
        raise DataError(f"{run}: was fitted on {name} ({about['reader']}); say where that is: sepvae {again}")
    manifest, spec = list_as_run(run, data, root, tables)
    samples = RunFolder(run).split.required()
    ids = manifest.about["id"].astype(str)
    mask = ids.isin(samples["id"]).to_numpy()
    kept, others = manifest.keep(mask), ids[~mask].tolist()
    positions = pd.Index(kept.about["id"].astype(str)).get_indexer(pd.Index(samples["id"]))
    if gone := samples["id"][positions < 0].tolist():
        more = f"; {len(others)} others are there, such as {others[0]!r}" if others else ""
        raise DataError(
            f"{manifest.data}: {len(gone)} of the {len(samples)} samples of {run} are not there, such as "
            f"{gone[0]!r}{more}; nothing was fitted: give the data as they were"
        )
    if others and about.get("limit") is None:
        say(f"note: {len(others)} samples are not of {run}, such as {others[0]!r}; left out")
    with progress_bar("reading") as progress:
        source, metrics = read_manifest(kept, spec, progress)
    in_test = (samples["split"] == "test").to_numpy()
    train, test = (np.asarray(positions[part], dtype=np.intp) for part in (~in_test, in_test))
    metrics = None if metrics is None else metrics.iloc[np.concatenate([train, test])]
    return Samples(source.select(train), source.select(test), metrics)


def list_as_run(
    run: Path, data: Path, root: Path | None = None, tables: Sequence[Path] = (), *, labelled: bool = True
) -> tuple[Manifest, DataSpec]:
    """List data as the recipe of a run says, with tables of the same names beside them unless named."""
    recipe, kind = RunFolder(run).recipe.required(), kind_of(data)
    fitted = cache(lambda: load(run))  # not every kind of data needs the model
    about = recipe["data"]
    if has_bundled_data(run):
        raise DataError(f"{run}: was fitted on {DIGITS}, which takes no other data")
    if not {"reader", "targets"} <= about.keys():
        about = _assumed(run, fitted(), data, recipe, labelled=labelled)
    if kind is STORE and about["reader"] == "volumes":  # a store may replace the files
        about = about | {"reader": "packed", "images": None, "tables": [], "assume_orientation": None}
    tables = tables or [data.parent / name for name in about.get("tables") or ()]
    spec = _spec(run, data, about | {"tables": tables}, kind, labelled=labelled)
    spec = spec.model_copy(update={"root": root, "background": None, "targets": []})
    if labelled and about["targets"]:
        background, targets = recipe["keywords"]["background"], about["targets"]
        spec = spec.model_copy(update={"background": background, "targets": targets})
    if kind is ANNDATA:  # new data may have more genes
        spec = spec.model_copy(update={"features": [*getattr(fitted(), "feature_names_in_", [])]})
    if not labelled:
        spec = _without_labels(spec, fitted, data, recipe["keywords"])
    manifest = list_data(data, spec, labelled=labelled, roles=False, label_names=about.get("labels"))
    manifest = replace(manifest, centre=about.get("centre", manifest.centre))
    if spec.target_severity is not None:
        known = replace(manifest, background=recipe["keywords"]["background"])
        manifest = known.without_severity_of_background(spec.target_severity)
    if manifest.features is not None:
        names = [*getattr(fitted(), "feature_names_in_", [])]
        if set(names) == set(manifest.features):  # new data may have their columns in another order
            manifest = replace(manifest, features=manifest.features[names])
    if manifest.volumes is not None:
        manifest = replace(manifest, grid=fitted().grid_)
    if about["reader"] == "surfaces":
        manifest = replace(manifest, mesh=Mesh.of_features(getattr(fitted(), "feature_names_in_", None)))
    return manifest, spec


def _spec(run: Path, data: Path, about: Mapping[str, Any], kind: Kind, *, labelled: bool) -> DataSpec:
    """
    Return the recorded spec, without a severity that the data lack, since labels are of groups.

    Raise if the data are of another kind, but for any folder without labels.
    """
    reader = about["reader"]
    if kind is format_named(reader).kind:
        spec = spec_of_run(about)
        if kind in (TABLE, ANNDATA) and (name := spec.target_severity) and name not in _cells(data, spec):
            others = {other: kind for other, kind in spec.attributes.items() if other != name}
            spec = spec.model_copy(update={"target_severity": None, "attributes": others})
        return spec
    if labelled or kind is not FOLDER:
        if reader == "packed":
            raise DataError(f"{data}: {run} was fitted on a packed store; give a store: sepvae pack makes it")
        raise DataError(f"{data}: {run} was fitted on a {reader}; give new data of that kind")
    return DataSpec(**{name: about[name] for name in ("image_size", "channels", "fit") if name in about})


def _without_labels(
    spec: DataSpec, fitted: Callable[[], ContrastiveEstimator], data: Path, keywords: Mapping[str, Any]
) -> DataSpec:
    """Return the spec of data that may lack labels, subjects, and attributes that no one needs."""
    cells = _cells(data, spec)
    needed = covariates_needed(keywords) or []
    severity = spec.target_severity if spec.target_severity in cells else None
    needed += [] if severity is None else [severity]  # for maps by severity
    attributes = {name: kind for name, kind in spec.attributes.items() if name in {*needed, *cells}}
    features = spec.features
    if features is not None:  # by name: a pattern could match covariates that have no role here
        features = fitted().feature_names_in_.tolist()
    label = spec.label if spec.label in cells and cells[spec.label].notna().all() else None
    subject = spec.subject if spec.subject in cells else None
    known = {"attributes": attributes, "features": features, "label": label, "subject": subject}
    known |= {"target_severity": severity}
    return spec.model_copy(update=known)


def _cells(data: Path, spec: DataSpec) -> Any:
    """Return the cells of a table or of obs; data of other kinds have none."""
    if kind_of(data) is ANNDATA:
        with open_h5ad(data) as observations:
            return observations.obs
    return read_joined(data, spec).table if kind_of(data) is TABLE else {}


def _assumed(
    run: Path, model: ContrastiveEstimator, data: Path, recipe: dict[str, Any], *, labelled: bool
) -> dict[str, Any]:
    """Return what a recipe does not record of its data, from the kind of DATA and the sample shape."""
    about, kind = dict(recipe["data"]), kind_of(data)
    shape = model.sample_shape_
    readers = READERS.get(len(shape), {})
    unsaid = f"{run}: its recipe.yaml does not say how the data were read"
    in_python = "encode in Python, by sepvae.load(RUN).encode(source)"
    if kind.title not in readers or (len(shape) == 4 and model.grid_ is None):
        sides = " x ".join(map(str, shape))
        raise DataError(f"{unsaid}, and {data} gives no samples of shape {sides}, as it has; {in_python}")
    if kind is TABLE and len(shape) > 1 and not about.get("images"):
        remedy = "fit with about_data={'images': COLUMN}"
        raise DataError(f"{unsaid}: no column of images in {data} is named; {remedy}, or {in_python}")
    if labelled and kind is not FOLDER and not about.get("label"):
        remedy = "fit with about_data={'label': COLUMN}, or score in Python, by evaluate_run(RUN, source)"
        raise DataError(f"{unsaid}: no column of labels in {data} is named; {remedy}")
    if len(shape) == 1:
        if (names := getattr(model, "feature_names_in_", None)) is None:
            raise DataError(f"{unsaid}, and its features have no names; {in_python}")
        about.setdefault("features", names.tolist())
    if len(shape) == 3:
        about = {"channels": shape[0], "image_size": tuple(shape[1:]), "fit": "pad"} | about
    if kind is not FOLDER:
        about.setdefault("attributes", recipe.get("attributes"))
    return {"targets": []} | about | {"reader": readers[kind.title]}
