"""
Openly licensed data sets, downloaded when a function is called.

Files go to `data_dir`, else to the folder that the environment variable SEPVAE_DATA_HOME names, else to
`~/sepvae_data`. A file that is there is neither downloaded again nor replaced. It is used only if its
checksum is the one that its publisher states.
"""

import os
import sys
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.io import arff
from sklearn.utils import Bunch

from sepvae.batch import AnyArray
from sepvae.checks import check_installed
from sepvae.data import ArraySource
from sepvae.errors import DataError, reason_of

__all__ = ["fetch_mice_protein", "fetch_oct_mnist", "fetch_pneumonia_mnist"]

HOME = "SEPVAE_DATA_HOME"
CC_BY = "CC BY 4.0"
OF_MICE = ["Genotype", "Treatment", "Behavior"]


class Published(NamedTuple):
    """File at its publisher's, and its terms."""

    url: str
    checksum: str  # of the publisher's record, by algorithm
    license: str
    citation: str

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.url.rpartition("/")[2]


_ZENODO = "https://zenodo.org/records/10519652/files"  # checksums as in info.py of the package medmnist 3.0.2
_MEDMNIST = (
    "Yang et al. (2023), MedMNIST v2, Scientific Data 10, 41; images of Kermany et al. (2018), Cell 172(5)"
)
PNEUMONIA = {
    28: Published(f"{_ZENODO}/pneumoniamnist.npz", "md5:28209eda62fecd6e6a2d98b1501bb15f", CC_BY, _MEDMNIST),
    64: Published(
        f"{_ZENODO}/pneumoniamnist_64.npz", "md5:8f4eceb4ccffa70c672198ea285246c6", CC_BY, _MEDMNIST
    ),
}
OCT = {
    28: Published(f"{_ZENODO}/octmnist.npz", "md5:c68d92d5b585d8d81f7112f81e2d0842", CC_BY, _MEDMNIST),
    64: Published(f"{_ZENODO}/octmnist_64.npz", "md5:e229e9440236b774d9f0dfef9d07bdaf", CC_BY, _MEDMNIST),
}
MICE = Published(
    "https://api.openml.org/data/v1/download/17928620/MiceProtein.arff",
    "md5:3c479a6885bfa0438971388283a1ce32",  # of data set 40966 at OpenML, as scikit-learn's guide prints it
    "Public, as OpenML records it; see the UCI repository, data set 342",
    "Higuera, Gardiner and Cios (2015), PLoS ONE 10(6), e0129126",
)


def fetch_pneumonia_mnist(*, size: Literal[28, 64] = 28, data_dir: str | Path | None = None) -> Bunch:
    """
    Fetch PneumoniaMNIST: chest X-rays of children, normal or with pneumonia.

    The file names no patients, so images of one child may be on both sides of the split, and intervals over
    images are too narrow.

    Parameters
    ----------
    size : {28, 64}, default=28
        Side of the images in pixels.
    data_dir : str or Path, default=None
        Folder of the file; see `sepvae.datasets`.

    Returns
    -------
    Bunch
        `train` (5232 images) and `test` (624), an `ArraySource` each: `x` is uint8 of shape (n, 1, size,
        size), labels are "normal" and "pneumonia". And `license`, `citation`, `url` and `path`.

    Raises
    ------
    DataError
        If the file cannot be downloaded, or is not the one that was published; nothing is left of it then.

    Examples
    --------
    >>> xrays = fetch_pneumonia_mnist()  # doctest: +SKIP
    >>> SepVAE(background="normal").fit(xrays.train)  # doctest: +SKIP
    """
    return _medmnist(PNEUMONIA, size, data_dir, ["normal", "pneumonia"])


def fetch_oct_mnist(*, size: Literal[28, 64] = 28, data_dir: str | Path | None = None) -> Bunch:
    """
    Fetch OCTMNIST: optical coherence tomography of the retina, normal or with one of three diseases.

    Patients are not named, as in `fetch_pneumonia_mnist`. Images of 28 x 28 take 86 MB in memory, those of
    64 x 64 450 MB.

    Parameters
    ----------
    size, data_dir : object
        As in `fetch_pneumonia_mnist`.

    Returns
    -------
    Bunch
        As of `fetch_pneumonia_mnist`: 108309 images to train, 1000 to test. Labels are "normal", "choroidal
        neovascularization", "diabetic macular edema" and "drusen".

    Raises
    ------
    DataError
        As in `fetch_pneumonia_mnist`.

    Examples
    --------
    >>> retinas = fetch_oct_mnist()  # doctest: +SKIP
    """
    labels = ["choroidal neovascularization", "diabetic macular edema", "drusen", "normal"]
    return _medmnist(OCT, size, data_dir, labels)


def fetch_mice_protein(*, data_dir: str | Path | None = None) -> Bunch:
    """
    Fetch Mice Protein Expression: 77 proteins in the cortex of 72 mice, 15 rows a mouse.

    Parameters
    ----------
    data_dir : str or Path, default=None
        Folder of the file; see `sepvae.datasets`.

    Returns
    -------
    Bunch
        `source`, an `ArraySource` of 1080 rows: `x` is float64 of shape (n, 77), NaN for gaps. Labels are the
        classes, such as "c-CS-s"; groups are the mice; attributes are genotype, treatment and behavior. And
        `license`, `citation`, `url` and `path`.

    Raises
    ------
    DataError
        As in `fetch_pneumonia_mnist`.

    Examples
    --------
    >>> mice = fetch_mice_protein().source  # doctest: +SKIP
    >>> chosen = mice.select(np.isin(mice.labels, ["c-CS-s", "c-SC-s", "t-SC-s"]))  # doctest: +SKIP
    """
    path = _download(MICE, data_dir)
    with path.open(encoding="utf-8") as file:
        rows, _ = arff.loadarff(file)
    table = pd.DataFrame(rows)
    words = pd.DataFrame(
        {name: table.pop(name).str.decode("utf-8") for name in ("MouseID", "class", *OF_MICE)}
    )
    ids = words["MouseID"].to_list()
    source = ArraySource(
        table.to_numpy(np.float64),
        words["class"].to_list(),
        groups=[id_.rpartition("_")[0] for id_ in ids],
        ids=ids,
        attributes=words[OF_MICE].rename(columns=str.lower),
        feature_names=table.columns.to_list(),
    )
    return _bunch(MICE, path, source=source)


def _medmnist(
    files: dict[int, Published], size: int, data_dir: str | Path | None, labels: list[str]
) -> Bunch:
    """Return a data set of MedMNIST; its validation part joins the training part."""
    if size not in files:
        raise DataError(f"size: wanted one of {', '.join(map(str, files))}, got {size!r}")
    path = _download(files[size], data_dir)
    with np.load(path, allow_pickle=False) as arrays:
        parts = {
            part: (arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in ("train", "val", "test")
        }
    (x, y), validation, test = parts.values()
    train = np.concatenate([x, validation[0]]), np.concatenate([y, validation[1]])
    return _bunch(
        files[size], path, train=_source("train", *train, labels), test=_source("test", *test, labels)
    )


def _source(part: str, images: AnyArray, numbers: AnyArray, labels: list[str]) -> ArraySource:
    """Return grey images with words for labels (n, 1)."""
    ids = [f"{part}-{i:06d}" for i in range(len(images))]
    return ArraySource(images[:, None], np.array(labels)[numbers.ravel()], ids=ids)


def _bunch(file: Published, path: Path, **sources: ArraySource) -> Bunch:
    return Bunch(**sources, license=file.license, citation=file.citation, url=file.url, path=path)


def _download(file: Published, data_dir: str | Path | None) -> Path:
    """Return the path of a file, after download unless it is there; its checksum is always compared."""
    check_installed("fetch", "pooch")
    import pooch

    folder = Path(data_dir or os.environ.get(HOME) or Path.home() / "sepvae_data").expanduser()
    path, log = folder / file.name, pooch.get_logger()
    if path.exists():
        if not path.is_file() or not pooch.hashes.hash_matches(path, file.checksum):
            wrong = f"is not the file that was published ({file.checksum})"
            raise DataError(f"{path}: {wrong}; move it away, and it is downloaded")
        return path
    log.info("%s: license %s; cite %s", file.name, file.license, file.citation)
    try:
        load = pooch.HTTPDownloader(progressbar=sys.stderr.isatty())
        pooch.retrieve(file.url, file.checksum, fname=file.name, path=folder, downloader=load)
    except OSError as error:  # of the network, with those of requests, or of the disk
        remedy = f"check the network and the folder, or put the file at {path} yourself"
        raise DataError(f"{file.url}: cannot be downloaded ({reason_of(error)}); {remedy}") from error
    except ValueError as error:  # pooch deletes what it downloaded
        remedy = "try again later; if it stays so, report it"
        raise DataError(
            f"{file.url}: is not the file that was published ({file.checksum}); {remedy}"
        ) from error
    return path
