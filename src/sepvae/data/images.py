"""Folders of images: one subfolder per label, read with Pillow."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageOps
from threadpoolctl import threadpool_limits

from sepvae.data.arrays import ArraySource
from sepvae.errors import DataError

Fit = Literal["pad", "crop", "squash"]
Pixels = npt.NDArray[np.float32]

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp"}
PARTS = {"train", "training", "val", "valid", "validation", "test", "testing"}


def read_image_folder(
    path: str | Path,
    *,
    image_size: int | tuple[int, int] = 64,
    channels: int = 1,
    fit: Fit = "pad",
    pattern: str | Sequence[str] | None = None,
    limit: int | None = None,
    limit_by: str | None = None,
    labelled: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> ArraySource:
    r"""
    Read the images of a folder that has one subfolder per label.

    Every subfolder that holds images, at any depth, is a label; files come in the order of their paths.
    Pillow reads PNG, JPEG, BMP, TIFF, GIF and WebP (the first frame), turns them as their EXIF says and gives
    any mode in the channels that are asked for. 16 bits are scaled to 8 by their full
    range (rescale images that use only 12 of them first), transparent parts are laid on black.
    An axis that shrinks is averaged by area (a pixel counts by how much of it is covered), one that grows is
    interpolated linearly.

    Parameters
    ----------
    path : str or Path
        The folder.
    image_size : int or (int, int), default=64
        Side, or height and width, of the images that come out.
    channels : {1, 3}, default=1
        1 for grey, 3 for RGB.
    fit : {"pad", "crop", "squash"}, default="pad"
        What to do where the shape differs: "pad" shows the whole image between black bars, "crop" its centre,
        "squash" distorts it. Bars and distortion can betray a label whose images have another shape.
    pattern : str or sequence of str, default=None
        Regular expressions with named groups, searched in the file name; the first that is found counts. The
        group named `group` is the sample's group (the patient), every other one becomes a column of
        `attributes`. A file without a match is its own group and has no attributes.
    limit : int, default=None
        Read at most so many images of each label, the first by path.
    limit_by : str, default=None
        Count them for each value of this attribute within a label instead.
    labelled : bool, default=True
        Whether there must be two labels or more. False reads any folder of images, for a model that needs no
        labels: those of subfolders where there are some, "" for images that lie in the folder itself.
    progress : callable, default=None
        Called as `progress(done, total)` after every image.

    Returns
    -------
    ArraySource
        `x` is uint8 of shape (n, channels, h, w); `ids` are paths relative to the folder, `labels` the names
        of the subfolders.

    Raises
    ------
    DataError
        If the folder or a pattern is of no use, or a file cannot be read as an image.

    Examples
    --------
    >>> source = read_image_folder(
    ...     "chest_xray/train",
    ...     pattern=[r"(?P<group>person\d+)_(?P<subtype>bacteria|virus)", r"(?P<group>(NORMAL2-)?IM-\d+)"],
    ...     limit=1341,
    ...     limit_by="subtype",
    ... )  # doctest: +SKIP
    """
    root, size = Path(path), _size(image_size)
    _check_options(channels, fit, limit, limit_by)
    files, labels = _list_images(root) if labelled else _list_any_images(root)
    groups, attributes = _described([file.name for file in files], pattern, must_match=labelled)
    about = pd.DataFrame({"file": files, "label": labels, "group": groups})
    about["id"] = [file.relative_to(root).as_posix() for file in files]
    # What the pattern does not name a patient for stands alone, under its own name.
    about["group"] = about["group"].fillna(about["id"])
    keep = _limited(about["label"], attributes, limit, limit_by)
    about = about[keep]
    return ArraySource(
        _read_all(about["file"].tolist(), size, channels, fit, progress),
        about["label"].to_numpy(dtype=str),
        groups=about["group"].to_numpy(dtype=str),
        ids=about["id"].to_numpy(dtype=str),
        attributes=attributes[keep],
    )


def _size(image_size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width."""
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2 or min(size) < 1:
        raise DataError(f"image_size: wanted a side or (height, width) in pixels, got {image_size}")
    return size


def _check_options(channels: int, fit: str, limit: int | None, limit_by: str | None) -> None:
    """Refuse keywords that have no meaning, before any file is opened."""
    if channels not in (1, 3):
        raise DataError(f"channels: wanted 1 (grey) or 3 (RGB), got {channels}")
    if fit not in get_args(Fit):
        raise DataError(f"fit: wanted one of {', '.join(get_args(Fit))}, got {fit!r}")
    if limit is not None and limit < 1:
        raise DataError(f"limit: wanted at least 1, got {limit}")
    if limit is None and limit_by is not None:
        raise DataError(f"limit_by={limit_by!r} needs limit, the number of images of each kind")


def _list_images(root: Path) -> tuple[list[Path], list[str]]:
    """All images and their labels, in the order of their paths."""
    if not root.is_dir():
        found = "a file" if root.is_file() else "nothing"
        raise DataError(f"{root}: wanted a folder with one subfolder of images per label, found {found}")
    folders = sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))
    found_in = {folder.name: files for folder in folders if (files := _images_in(folder))}
    if len(found_in) < 2:
        raise DataError(
            f"{root}: wanted two subfolders or more with images, one per label, "
            f"found {', '.join(found_in) or 'none'}; put the images of each label in a folder of its own"
        )
    if {name.lower() for name in found_in} <= PARTS:
        raise DataError(
            f"{root}: its subfolders {', '.join(found_in)} look like parts of a split, not like labels; "
            f"name one of them, such as {root / next(iter(found_in))}"
        )
    files = [file for files in found_in.values() for file in files]
    return files, [name for name, files in found_in.items() for _ in files]


def _list_any_images(root: Path) -> tuple[list[Path], list[str]]:
    """All images, each with the name of the subfolder that it lies in, if any."""
    if not root.is_dir() or not (files := _images_in(root)):
        raise DataError(f"{root}: wanted a folder with images, found none")
    places = [file.relative_to(root).parts for file in files]
    return files, [place[0] if len(place) > 1 else "" for place in places]


def _images_in(folder: Path) -> list[Path]:
    """Images at any depth; hidden files, such as the ._ twins that macOS leaves in archives, are none."""
    files = (f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))
    return sorted((f for f in files if f.is_file()), key=lambda f: f.relative_to(folder).as_posix())


def _described(
    names: list[str], pattern: str | Sequence[str] | None, *, must_match: bool
) -> tuple[list[str | None], pd.DataFrame]:
    """Group and attributes of each file, as far as its name says them."""
    patterns = [pattern] if isinstance(pattern, str) else list(pattern or ())
    compiled = [_compiled(text, names, must_match) for text in patterns]
    columns = [name for regex in compiled for name in regex.groupindex]
    matches = (next(filter(None, (regex.search(name) for regex in compiled)), None) for name in names)
    rows = [match.groupdict() if match else {} for match in matches]
    table = pd.DataFrame(rows, columns=list(dict.fromkeys(columns)), index=range(len(names)))
    return [row.get("group") for row in rows], table.drop(columns="group", errors="ignore")


def _compiled(pattern: str, names: list[str], must_match: bool) -> re.Pattern[str]:
    """A regular expression that says something about these names."""
    example = f"file names look like {names[0]!r}"
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise DataError(f"pattern {pattern!r}: no regular expression ({error}); {example}") from error
    if not regex.groupindex:
        raise DataError(f"pattern {pattern!r}: wanted a named group, such as (?P<group>...); {example}")
    if must_match and not any(map(regex.search, names)):
        raise DataError(f"pattern {pattern!r}: found in no file name; {example}")
    return regex


def _limited(
    labels: pd.Series, attributes: pd.DataFrame, limit: int | None, limit_by: str | None
) -> npt.NDArray[np.bool_]:
    """Which files to read: the first `limit` of each kind."""
    if limit is None:
        return np.ones(len(labels), dtype=bool)
    if limit_by is not None and limit_by not in attributes:
        known = ", ".join(attributes.columns) or "none"
        raise DataError(f"limit_by: wanted a named group of pattern ({known}), got {limit_by!r}")
    kind = [labels] if limit_by is None else [labels, attributes[limit_by]]
    return labels.groupby(kind, dropna=False).cumcount().to_numpy() < limit


def _read_all(
    files: list[Path],
    size: tuple[int, int],
    channels: int,
    fit: Fit,
    progress: Callable[[int, int], None] | None,
) -> npt.NDArray[np.uint8]:
    """All images as one array; Pillow decodes outside Python's lock, so threads help."""
    x = np.empty((len(files), channels, *size), dtype=np.uint8)

    def read(i: int) -> str | None:
        try:
            with Image.open(files[i]) as image:
                pixels = _pixels(image, channels)
        except Exception as error:  # decoders raise whatever they stumble on
            return f"{type(error).__name__}: {error}".splitlines()[0]
        x[i] = np.rint(_fitted(pixels, size, fit))
        return None

    bad: list[tuple[Path, str]] = []
    # The threads have the cores already: matrix products with threads of their own would only slow them.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor() as pool:
        for done, (file, reason) in enumerate(zip(files, pool.map(read, range(len(files))), strict=True), 1):
            if reason:
                bad.append((file, reason))
            if progress:
                progress(done, len(files))
    if bad:
        more = f", nor can {len(bad) - 1} more" if len(bad) > 1 else ""
        raise DataError(f"{bad[0][0]}: cannot be read as an image ({bad[0][1]}){more}; replace or remove it")
    return x


def _pixels(image: Image.Image, channels: int) -> Pixels:
    """An upright image of any mode as floats in 0..255, of shape (channels, h, w)."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits; some files of them come as 32
        grey = np.asarray(image, dtype=np.float32)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError("32-bit pixels beyond 16 bits have no known range, save as 8 or 16 bits")
        return np.repeat(grey[None] / np.float32(257), channels, axis=0)
    if image.mode == "F":
        raise ValueError("float pixels have no known range, save as 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    if image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    wanted = image.convert("L" if channels == 1 else "RGB")
    return (
        np.asarray(wanted, dtype=np.float32).reshape(image.height, image.width, channels).transpose(2, 0, 1)
    )


def _fitted(pixels: Pixels, size: tuple[int, int], fit: Fit) -> Pixels:
    """Pixels in the wanted size; what does not divide evenly goes to the bottom and to the right."""
    (h, w), (height, width) = pixels.shape[1:], size
    if fit == "crop":
        kept_h, kept_w = min(h, max(1, round(w * height / width))), min(w, max(1, round(h * width / height)))
        top, left = (h - kept_h) // 2, (w - kept_w) // 2
        pixels = pixels[:, top : top + kept_h, left : left + kept_w]
    if fit != "pad":
        return _resized(pixels, height, width)
    scale = min(height / h, width / w)
    shown = _resized(pixels, max(1, round(h * scale)), max(1, round(w * scale)))
    free_h, free_w = height - shown.shape[1], width - shown.shape[2]
    bars = ((0, 0), (free_h // 2, free_h - free_h // 2), (free_w // 2, free_w - free_w // 2))
    return np.pad(shown, bars)


def _resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """Rows, then columns."""
    rows, columns = _weights(pixels.shape[1], height), _weights(pixels.shape[2], width)
    return np.asarray(rows @ pixels @ columns.T)


def _weights(old: int, new: int) -> Pixels:
    """
    How much each of `old` pixels gives to each of `new`, (new, old): by area to shrink, linearly to grow.

    Pillow's box filter counts pixels in whole: from 96 to 64 it averages two pixels, takes one, averages two.
    """
    pixels = np.arange(old)
    if new <= old:
        edges = np.linspace(0, old, new + 1)[:, None]
        weights = np.diff(np.clip(edges - pixels, 0, 1), axis=0) * (new / old)
    else:
        centres = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)[:, None]
        weights = np.clip(1 - np.abs(centres - pixels), 0, None)
    return np.asarray(weights, dtype=np.float32)
