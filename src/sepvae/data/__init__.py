"""Where samples come from: images, arrays and tables, how they are split, and data for a first run."""

from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.bundled import load_digits_on_photos
from sepvae.data.images import read_array, read_brats, read_celeba, read_image_folder, read_image_table
from sepvae.data.splits import given_split, read_split, split, split_table
from sepvae.data.tables import TableScaler, frame_source

__all__ = [
    "ArraySource",
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
    "read_split",
    "split",
    "split_table",
]
