"""Data of the interactive scatter plot: positions of codes, colours, and thumbnails on one sheet."""

import base64
import io
import math
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sepvae.report.contents import Contents

if TYPE_CHECKING:
    import pandas as pd

    from sepvae.batch import AnyArray
    from sepvae.codes import Space

MAX_POINTS = 3000  # more points make a browser slow
MIN_UMAP = 16  # samples; UMAP uses 15 neighbours of each
SHEET_COLUMNS = 25
BLOCK = 8  # side of JPEG's blocks; cells of whole blocks do not blur into each other
QUALITY = 85
SYMBOLS = {"o": "circle", "^": "triangle-up", "s": "square"}
MIN_GROUPS = 5  # if single samples are not shown, classes of fewer groups are not named


def scatter_data(contents: Contents, *, images: bool = True) -> dict[str, Any] | None:
    """Return the codes of the test samples as JSON data for the page's script; None for fewer than two."""
    import numpy as np

    from sepvae.codes import code_columns

    codes = contents.codes
    if codes is None:
        return None
    finite = np.isfinite(codes[code_columns(codes, "both")].to_numpy(float)).all(axis=1)
    test = codes[(codes["split"] == "test") & finite]
    train = codes[(codes["split"] == "train") & finite]
    if len(test) < 2:
        return None
    # In random order, so that no category hides another; samples with a thumbnail are kept first.
    shown = test.sample(frac=1, random_state=0)
    if contents.thumbnails is not None and images:
        shown = shown.loc[shown["id"].isin(contents.thumbnails["ids"]).sort_values(ascending=False).index]
    shown = shown.head(MAX_POINTS).sample(frac=1, random_state=1)
    fitted = train if len(train) > 1 else test
    return {
        "count": len(shown),
        "total": len(test),
        "fitted": "training" if len(train) > 1 else "test",
        "spaces": {space: _places(fitted, shown, space) for space in ("common", "salient")},
        "columns": _columns(contents, shown, images=images),
        "ids": shown["id"].tolist() if images else None,
        "groups": _groups(test, shown) if images else None,
        "thumbnails": _sheet(contents.thumbnails, shown["id"].tolist()) if images else None,
    }


def _places(fitted: "pd.DataFrame", shown: "pd.DataFrame", space: "Space") -> dict[str, Any]:
    """Return the positions of samples in a space by each projection."""
    from sepvae.codes import code_columns

    columns = code_columns(fitted, space)
    codes = shown[columns].to_numpy(float)
    if len(columns) == 1:
        places = {"PCA": _line(codes[:, 0], columns[0])}
    else:
        places = {"PCA": _principal(fitted[columns].to_numpy(float), codes)}
    umap = _umap(codes)
    if umap is not None:
        places["UMAP"] = {**_rounded(umap), "axes": ["UMAP 1", "UMAP 2"]}
    return {"dimensions": len(columns), "places": places}


def _line(codes: "AnyArray", name: str) -> dict[str, Any]:
    """Return one-dimensional codes with random heights, so that points do not overlap."""
    import numpy as np

    heights = np.random.default_rng(0).uniform(-0.5, 0.5, size=len(codes))
    return {**_rounded(np.column_stack([codes, heights])), "axes": [name, ""]}


def _principal(fitted: "AnyArray", codes: "AnyArray") -> dict[str, Any]:
    """Return positions on the first two principal components of `fitted`."""
    import numpy as np

    centre = fitted.mean(axis=0)
    _, widths, directions = np.linalg.svd(fitted - centre, full_matrices=False)
    directions = directions[:2]
    # Signs may differ between machines: the largest component of each direction is made positive.
    largest = np.abs(directions).argmax(axis=1)
    directions = directions * np.sign(directions[np.arange(len(directions)), largest])[:, None]
    share = 100 * widths**2 / max(float((widths**2).sum()), np.finfo(float).tiny)
    axes = [f"PC {i + 1} ({share[i]:.0f} % of variance)" for i in range(len(directions))]
    return {**_rounded((codes - centre) @ directions.T), "axes": axes}


def _umap(codes: "AnyArray") -> "AnyArray | None":
    """Return UMAP positions; None if umap-learn is missing, or codes are too few or constant."""
    import numpy as np

    try:
        umap = import_module("umap")
    except ImportError:
        return None
    if len(codes) < MIN_UMAP or codes.shape[1] < 2 or np.ptp(codes, axis=0).max() == 0:
        return None
    return np.asarray(umap.UMAP(n_components=2, random_state=0, n_jobs=1).fit_transform(codes))


def _rounded(places: "AnyArray") -> dict[str, list[float]]:
    """Round to four significant digits, which are finer than any screen."""
    return {axis: [float(f"{value:.4g}") for value in places[:, i]] for i, axis in enumerate("xy")}


def _groups(test: "pd.DataFrame", shown: "pd.DataFrame") -> list[str] | None:
    return shown["group"].tolist() if test["group"].nunique() < len(test) else None


def _columns(contents: Contents, shown: "pd.DataFrame", *, images: bool) -> list[dict[str, Any]]:
    """Return the columns to colour by: the label, and each attribute that has a value."""
    from sepvae.codes import attribute_columns, attribute_kind

    kinds, columns = contents.folder.kinds(), []
    for name in ["label", *attribute_columns(shown)]:
        known = shown[name].dropna()
        if known.empty:
            continue
        kind = "categorical" if name == "label" else kinds.get(name) or attribute_kind(shown[name])
        if kind == "continuous" and known.dtype.kind in "iufb":
            columns.append(_amount(name, shown[name]))
        elif images or name == "label" or _identifies_nobody(shown, name):
            columns.append(_classes(name, shown))
    return columns


def _identifies_nobody(shown: "pd.DataFrame", name: str) -> bool:
    """Return whether each class of an attribute covers MIN_GROUPS groups or more and so identifies nobody."""
    known = shown[shown[name].notna()]
    return bool(known.groupby(known[name].astype(str))["group"].nunique().min() >= MIN_GROUPS)


def _amount(name: str, values: "pd.Series[Any]") -> dict[str, Any]:
    numbers = [float(f"{value:.6g}") if math.isfinite(value) else None for value in values.astype(float)]
    return {"name": name, "values": numbers}


def _classes(name: str, shown: "pd.DataFrame") -> dict[str, Any]:
    """Return class names in legend order, the style of each, and the class index of each sample."""
    import pandas as pd

    from sepvae.plotting.codes import ALL_OTHERS, STYLES, as_words

    words = as_words(shown[name])
    frequent = words.value_counts().index[: len(STYLES) - 1]
    first = shown["y"].groupby(words).min() if name == "label" else pd.Series(dtype=float)
    names = sorted(frequent, key=lambda word: (first.get(word, 0), _as_number(word), word))
    looks = [{"color": color, "symbol": SYMBOLS[marker]} for color, marker in STYLES[: len(names)]]
    if len(frequent) < words.nunique():
        names, looks = [*names, ALL_OTHERS], [*looks, {"color": STYLES[-1][0], "symbol": "square"}]
    place = {word: i for i, word in enumerate(names)}
    others = len(names) - 1
    return {
        "name": name,
        "names": names,
        "looks": looks,
        "values": [None if pd.isna(word) else place.get(word, others) for word in words],
        # Classes that share the last colour keep their own names.
        "words": [None if pd.isna(w) else w for w in words] if len(frequent) < words.nunique() else None,
    }


def _as_number(word: str) -> float:
    """Return a sort key: numeric names by value, before all others."""
    try:
        return float(word) if math.isfinite(float(word)) else math.inf
    except ValueError:
        return math.inf


def _sheet(thumbnails: "dict[str, AnyArray] | None", ids: list[str]) -> dict[str, Any] | None:
    """Return all thumbnails as one JPEG sheet, and the cell of each sample, -1 for none."""
    import numpy as np
    from PIL import Image

    if thumbnails is None:
        return None
    row_of = {str(name): i for i, name in enumerate(thumbnails["ids"])}
    rows = [row_of[name] for name in ids if name in row_of]
    if not rows:
        return None
    images = thumbnails["images"][rows].transpose(0, 2, 3, 1)
    height, width = images.shape[1:3]
    pad = [(0, -side % BLOCK) for side in (height, width)]
    images = np.pad(images, [(0, 0), *pad, (0, 0)], mode="edge")
    n, cell_height, cell_width, channels = images.shape
    lines = -(-n // SHEET_COLUMNS)
    sheet = np.zeros((lines * SHEET_COLUMNS, cell_height, cell_width, channels), np.uint8)
    sheet[:n] = images
    sheet = sheet.reshape(lines, SHEET_COLUMNS, cell_height, cell_width, channels).swapaxes(1, 2)
    sheet = sheet.reshape(lines * cell_height, SHEET_COLUMNS * cell_width, channels)
    file = io.BytesIO()
    Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet).save(
        file, "JPEG", quality=QUALITY, subsampling=0
    )
    cells = iter(range(n))
    return {
        "uri": "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode(),
        "columns": SHEET_COLUMNS,
        "lines": lines,
        "cell": [cell_width, cell_height],
        "size": [width, height],
        "cells": [next(cells) if name in row_of else -1 for name in ids],
    }
