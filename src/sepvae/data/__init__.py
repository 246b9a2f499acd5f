"""Data sources (volumes, images, arrays, tables), splits, and bundled data for a first run."""

from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.bundled import load_digits_on_photos
from sepvae.data.images import read_array, read_brats, read_celeba, read_image_folder, read_image_table
from sepvae.data.regions import read_regions
from sepvae.data.residuals import Residualizer
from sepvae.data.simulated import simulate_vbm_cohort, true_map
from sepvae.data.splits import given_split, read_split, split, split_table
from sepvae.data.tables import TableScaler, frame_source
from sepvae.data.volume_table import read_volumes

__all__ = [
    "ArraySource",
    "Residualizer",
    "StreamSource",
    "TableScaler",
    "frame_source",
    "given_split",
    "load_digits_on_photos",
    "read_array",
    "read_brats",
    "read_celeba",
    "read_image_folder",
    "read_image_table",
    "read_regions",
    "read_split",
    "read_volumes",
    "simulate_vbm_cohort",
    "split",
    "split_table",
    "true_map",
]
