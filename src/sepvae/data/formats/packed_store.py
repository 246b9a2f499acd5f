"""Packed stores (zarr), as `sepvae pack` writes them."""

from pathlib import Path

from sepvae.data.cells import CellTable
from sepvae.data.columns import about_rows
from sepvae.data.formats import STORE, Volumes
from sepvae.data.manifest import Manifest
from sepvae.data.packed import open_packed
from sepvae.data.spec import DataSpec


class PackedStore(Volumes):
    """Packed store, whose ids are participant_id if that is unique, else file names; it is never cached."""

    name, kind, title = "packed", STORE, "a packed store"

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        store = open_packed(path)
        spec = spec.model_copy(update={"id": spec.id or store.id_column})
        place = store.volumes.path
        rows = about_rows(CellTable(store.cells, []), place, spec, store.volumes.files)
        return Manifest(place, **rows, format=self, volumes=store.volumes)
