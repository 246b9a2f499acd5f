"""Data sources (volumes, images, arrays, tables), splits, and bundled data for a first run."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sepvae.data.arrays import ArraySource as ArraySource
    from sepvae.data.bundled import load_digits_on_photos as load_digits_on_photos
    from sepvae.data.formats.array import read_array as read_array
    from sepvae.data.formats.brats import read_brats as read_brats
    from sepvae.data.formats.h5ad import read_anndata as read_anndata
    from sepvae.data.formats.image_folder import read_image_folder as read_image_folder
    from sepvae.data.formats.published import read_celeba as read_celeba
    from sepvae.data.formats.regions import frame_source as frame_source
    from sepvae.data.formats.regions import read_regions as read_regions
    from sepvae.data.formats.surfaces import read_surfaces as read_surfaces
    from sepvae.data.formats.tables import read_image_table as read_image_table
    from sepvae.data.formats.tables import read_volumes as read_volumes
    from sepvae.data.h5ad import codes_to_anndata as codes_to_anndata
    from sepvae.data.loading import load as load
    from sepvae.data.simulated import simulate_vbm_cohort as simulate_vbm_cohort
    from sepvae.data.simulated import true_map as true_map
    from sepvae.data.simulated_surfaces import simulate_surface_cohort as simulate_surface_cohort
    from sepvae.data.spec import DataSpec as DataSpec
    from sepvae.data.splits import split as split

_MODULES = {
    "arrays": ["ArraySource"],
    "bundled": ["load_digits_on_photos"],
    "formats.array": ["read_array"],
    "formats.brats": ["read_brats"],
    "formats.h5ad": ["read_anndata"],
    "formats.image_folder": ["read_image_folder"],
    "formats.published": ["read_celeba"],
    "formats.regions": ["frame_source", "read_regions"],
    "formats.surfaces": ["read_surfaces"],
    "formats.tables": ["read_image_table", "read_volumes"],
    "h5ad": ["codes_to_anndata"],
    "loading": ["load"],
    "simulated": ["simulate_vbm_cohort", "true_map"],
    "simulated_surfaces": ["simulate_surface_cohort"],
    "spec": ["DataSpec"],
    "splits": ["split"],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_MODULE_OF)


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """Import public names on first use: a recipe and `sepvae --help` need neither pandas nor scikit-learn."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'sepvae.data' has no attribute {name!r}")
    return getattr(import_module(f"sepvae.data.{_MODULE_OF[name]}"), name)
