"""Where samples come from: arrays, image folders and tables, how they are split, and data for a first run."""

from sepvae.data.arrays import ArraySource
from sepvae.data.bundled import load_digits_on_photos
from sepvae.data.images import read_image_folder
from sepvae.data.splits import split, split_table
from sepvae.data.tables import TableScaler, frame_source

__all__ = [
    "ArraySource",
    "TableScaler",
    "frame_source",
    "load_digits_on_photos",
    "read_image_folder",
    "split",
    "split_table",
]
