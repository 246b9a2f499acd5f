"""Tables that name surfaces, one file for each hemisphere, by a template with a wildcard for the side."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.codes import Kind
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.columns import takes_group, with_person
from sepvae.data.formats import OF_VOLUMES, TABLE, Format, Measured, Read
from sepvae.data.formats.tables import (
    folder_of_images,
    images_of,
    list_files,
    names_of_images,
    not_named,
    read_table,
)
from sepvae.data.manifest import Manifest
from sepvae.data.spec import DataSpec
from sepvae.data.surfaces import TO_MESH, Surface, read_surface
from sepvae.errors import DataError
from sepvae.mesh import MESHES, Mesh, mesh_name
from sepvae.progress import Progress

SUFFIXES = (".gii", ".mgh")
FREESURFER = re.compile(r"[lr?*]h\.")  # starts names such as lh.thickness, ?h.thickness.fsaverage5.mgz
EXAMPLE = "'{participant_id}/surf/?h.thickness.fwhm10.fsaverage5.mgh'"


class SurfaceTable(Format):
    """Table of surfaces; a sample is read as a row of a table with one feature for each vertex."""

    name, kind, title, sample = "surfaces", TABLE, "a table of surfaces", "surface"
    refused = ("assume_orientation", "image_size", "channels", "fit", *OF_VOLUMES)

    def detect(self, path: Path, spec: DataSpec) -> bool:
        names = names_of_images(path, spec)
        return any(name.lower().endswith(SUFFIXES) or FREESURFER.match(Path(name).name) for name in names)

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        images, joined = images_of(path, spec), read_table(path, spec)
        templates = [images.replace("?h.", f"{s}h.").replace("hemi-?", f"hemi-{s.upper()}") for s in "lr"]
        if templates[0] == images:
            raise DataError(
                f"{path}: --images: wanted a template of both hemispheres, such as {EXAMPLE} or "
                f"'.._hemi-?_..', got {images!r}"
            )
        spec, ids = with_person(spec, joined.table, path)
        of_sides = [spec.model_copy(update={"images": template}) for template in templates]
        left, right = (list_files(path, of_side, joined, ids) for of_side in of_sides)
        surfaces = [Surface(Path(str(a)), Path(str(b))) for a, b in zip(left.files, right.files, strict=True)]
        missing = sorted({*left.missing, *right.missing})
        folder = folder_of_images(path, spec)
        others = not_named([surface.left for surface in surfaces], templates[0], folder)
        unlisted = [file.relative_to(folder).as_posix() for file in others]
        listed = replace(left, format=self, files=(), surfaces=surfaces)
        return replace(listed, missing=missing, unlisted=unlisted)

    def read(self, manifest: Manifest, spec: DataSpec, progress: Progress | None = None) -> Read:
        manifest.refuse_missing("surfaces")
        wanted = None if manifest.mesh is None else manifest.mesh.name
        parts = []
        for i, surface in enumerate(manifest.surfaces):
            parts.append(_on_mesh(surface, wanted))
            wanted = wanted or mesh_name(parts[0].shape[1])
            if progress is not None:
                progress(i + 1, len(manifest))
        values = np.stack(parts)
        mesh = manifest.mesh or Mesh.of_vertices(~((values == 0) | np.isnan(values)).all(axis=0))
        x = values[:, mesh.valid]
        return ArraySource(x, **manifest.described, feature_names=mesh.features), None

    def measure(self, manifest: Manifest, progress: Progress | None = None) -> Measured:
        """Return the digest of each surface, and by id why a surface cannot be read."""
        digests: list[str | None] = []
        bad, wanted = dict[str, str](), None
        for i, (id_, surface) in enumerate(zip(manifest.about["id"], manifest.surfaces, strict=True)):
            try:
                values = _on_mesh(surface, wanted)
                wanted = wanted or mesh_name(values.shape[1])
                digests.append(hashlib.sha256(values.tobytes()).hexdigest())
            except (DataError, OSError) as error:
                bad[id_] = str(error)
                digests.append(None)
            if progress is not None:
                progress(i + 1, len(manifest))
        return pd.DataFrame({"digest": digests}), bad

    def recorded(self, spec: DataSpec) -> dict[str, Any]:
        """Return nothing: the features of the model are the vertices."""
        return {}


@takes_group
def read_surfaces(
    path: str | Path,
    *,
    images: str,
    label: str,
    root: str | Path | None = None,
    tables: Sequence[str | Path] = (),
    subject: str | None = None,
    id: str | None = None,  # noqa: A002  (the word of this library)
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    progress: Progress | None = None,
    missing: Sequence[str | float] = (),
    not_missing: Sequence[str | float] = (),
    encoding: str | None = None,
) -> ArraySource | StreamSource:
    """
    Read the cortical surfaces that a table names: thickness or another measure per vertex.

    Vertices that are 0 or missing (NaN) in everyone are left out: those of the medial wall.

    Parameters
    ----------
    path, label, root, tables, subject, id, attributes, missing, not_missing, encoding : object
        As in `read_volumes`.
    images : str
        Template of columns with a wildcard for the hemisphere: "?h." for lh. and rh., or "hemi-?" for hemi-L
        and hemi-R, as in "{participant_id}/surf/?h.thickness.fwhm10.fsaverage5.mgh". GIFTI (.gii), .mgh,
        .mgz, and FreeSurfer's curv files (any other suffix) of fsaverage5, fsaverage6 or fsaverage.
    progress : callable or None, default=None
        Called as `progress(done, total)` after each scan.

    Returns
    -------
    ArraySource
        `x` is float32 of shape (n, vertices of both hemispheres), NaN for gaps; `feature_names` names
        vertices, such as "fsaverage5_lh_0".

    Raises
    ------
    DataError
        If a hemisphere is missing, a file cannot be read or holds no value, or its vertices are not those of
        the others or of a common mesh.

    Examples
    --------
    >>> images = "{participant_id}/surf/?h.thickness.fwhm10.fsaverage5.mgh"
    >>> read_surfaces("people.tsv", images=images, label="group")  # doctest: +SKIP
    """
    return SurfaceTable().load(**locals())


def _on_mesh(surface: Any, wanted: str | None) -> npt.NDArray[np.float32]:
    """Return the values of a surface; raise if its mesh is not the one that is wanted, if any."""
    values = read_surface(surface)
    if wanted is not None and (found := mesh_name(values.shape[1])) != wanted:
        raise DataError(
            f"{surface}: wanted the mesh of the other data, {wanted} ({MESHES[wanted]} vertices a "
            f"hemisphere), got {found} ({MESHES[found]}); bring all to one mesh; {TO_MESH}"
        )
    return values
