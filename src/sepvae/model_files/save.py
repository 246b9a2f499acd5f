"""Write a model folder: arrays as safetensors, keywords and metadata as JSON."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

import sepvae
from sepvae.batch import AnyArray
from sepvae.errors import ModelFileError
from sepvae.files import whole_folder, write_whole
from sepvae.model_files.schema import ABOUT, FORMAT, WEIGHTS


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Raise ModelFileError if the folder exists, unless it is a model that may be overwritten."""
    if folder.exists() and not overwrite:
        raise ModelFileError(
            f"{folder}: wanted a new folder for the model, but it exists; choose another name, or give "
            "overwrite=True"
        )
    if folder.exists() and not _is_model(folder):
        raise ModelFileError(
            f"{folder}: only a model is overwritten, a folder of {ABOUT} and {WEIGHTS}; choose another name"
        )


def write_model(
    folder: Path, about: Mapping[str, Any], arrays: Mapping[str, AnyArray], *, overwrite: bool
) -> None:
    """Write both files to a folder that is complete or absent; `about` has the fields of the schema."""
    weights = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    about = {"format": FORMAT, "sepvae": sepvae.__version__, **about, "sha256": sha256(weights).hexdigest()}
    with whole_folder(folder, replace=overwrite) as whole:
        write_whole(whole / WEIGHTS, weights)
        write_whole(whole / ABOUT, json.dumps(about, indent=2, default=_plain) + "\n")


def _is_model(folder: Path) -> bool:
    """Return whether a folder holds the files of a model, and nothing else."""
    return folder.is_dir() and {file.name for file in folder.iterdir()} == {ABOUT, WEIGHTS}


def _plain(value: Any) -> Any:
    """Convert NumPy scalars among the keywords for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot save {value!r}")
