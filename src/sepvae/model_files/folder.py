"""Write and read a model folder: arrays as safetensors, all else as JSON, validated before use."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import safetensors.numpy
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError

import sepvae
from sepvae.batch import AnyArray
from sepvae.errors import ModelFileError
from sepvae.files import whole_folder, write_whole
from sepvae.model_files.schema import ABOUT, FORMAT, WEIGHTS, About

MOST_TEXT = 2**26  # bytes of JSON, enough for the names of a million features


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Raise ModelFileError if the folder exists, unless it is a model that may be overwritten."""
    if folder.exists() and not overwrite:
        raise ModelFileError(
            f"{folder}: wanted a new folder for the model, but it exists; choose another name, or give "
            "overwrite=True"
        )
    if folder.exists() and not (folder.is_dir() and {f.name for f in folder.iterdir()} == {ABOUT, WEIGHTS}):
        raise ModelFileError(
            f"{folder}: only a model is overwritten, a folder of {ABOUT} and {WEIGHTS}; choose another name"
        )


def write_model(
    folder: Path, about: Mapping[str, Any], arrays: Mapping[str, AnyArray], *, overwrite: bool
) -> None:
    """Write both files to a folder that is complete or absent; `about` has the fields of the schema."""
    weights = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    about = {"format": FORMAT, "sepvae": sepvae.__version__, **about, "sha256": sha256(weights).hexdigest()}
    with whole_folder(folder, replace=overwrite) as whole:
        write_whole(whole / WEIGHTS, weights)
        write_whole(whole / ABOUT, json.dumps(about, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    """Convert NumPy scalars among the keywords for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot save {value!r}")


def read_model(folder: Path) -> tuple[Path, About, dict[str, AnyArray]]:
    """
    Read and validate a model in a folder or its subfolder `model/`; return where it is, metadata and arrays.

    Each file is read once, so that the checksum covers the bytes that are used.
    """
    try:
        if not (folder / ABOUT).is_file() and (folder / "model" / ABOUT).is_file():
            folder = folder / "model"
        if not ((folder / ABOUT).is_file() and (folder / WEIGHTS).is_file()):
            raise ModelFileError(f"{folder}: wanted a folder with {ABOUT} and {WEIGHTS}")
        if (size := (folder / ABOUT).stat().st_size) > MOST_TEXT:
            raise ModelFileError(f"{folder / ABOUT}: wanted at most {MOST_TEXT} bytes, got {size}")
        text, weights = (folder / ABOUT).read_bytes(), (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise ModelFileError(f"{folder}: the model cannot be read ({error.strerror})") from error
    except MemoryError as error:
        raise ModelFileError(
            f"{folder / WEIGHTS}: the weights do not fit into this machine's memory"
        ) from error
    about = _about(text, folder / ABOUT)
    if about.format > 1 and about.sha256 != sha256(weights).hexdigest():
        raise ModelFileError(
            f"{folder / WEIGHTS}: the weights are not those that were saved; copy the folder again"
        )
    try:
        return folder, about, safetensors.numpy.load(weights)
    except (SafetensorError, ValueError, KeyError) as error:  # KeyError: a dtype that NumPy lacks
        raise ModelFileError(
            f"{folder / WEIGHTS} is damaged ({one_line(error)}); save the model again"
        ) from error


class _Version(BaseModel):
    """Fields of all formats, newer ones included."""

    model_config = ConfigDict(strict=True)
    format: int


def _about(text: bytes, path: Path) -> About:
    try:
        version = _Version.model_validate_json(text).format
        if version > FORMAT:
            raise ModelFileError(
                f"{path}: written by a newer sepvae (format {version}, this program reads up to {FORMAT}); "
                "update sepvae"
            )
        about = About.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(f"{part}: " for part in first["loc"][:1])
        problem = where + first["msg"].removeprefix("Value error, ").replace("Input should be ", "wanted ")
        raise ModelFileError(f"{path} is damaged ({one_line(problem)}); save the model again") from error
    if version < 1 or (version > 1 and about.sha256 is None):
        raise ModelFileError(f"{path} is damaged (format {version} without a checksum); save the model again")
    return about


def one_line(text: object) -> str:
    """Return text from a file on one line of at most 300 characters."""
    return shorten(" ".join(str(text).split()), 300)
