"""Data of the interactive scatter plot: positions of codes, colours, and thumbnails on one sheet."""

import base64
import io
import math
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray
from sepvae.codes import Space, attribute_columns, attribute_kind, code_columns, principal_components
from sepvae.report.contents import Contents

MAX_POINTS = 3000  # more points make a browser slow
MIN_UMAP = 16  # samples; UMAP uses 15 neighbours of each
SHEET_COLUMNS = 25
BLOCK = 8  # side of JPEG's blocks; cells of whole blocks do not blur into each other
QUALITY = 85
SYMBOLS = {"o": "circle", "^": "triangle-up", "s": "square"}
MIN_GROUPS = 5  # if single samples are not shown, classes of fewer groups are not named


def scatter_data(contents: Contents, *, images: bool = True) -> dict[str, Any] | None:
    """Return the codes of the test samples as JSON data for the page's script; None for fewer than two."""
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
    grouped = test["group"].nunique() < len(test)
    return {
        "count": len(shown),
        "total": len(test),
        "fitted": "training" if len(train) > 1 else "test",
        "spaces": {space: _places(fitted, shown, space) for space in ("common", "salient")},
        "columns": coloured_columns(contents, shown, images=images),
        "ids": shown["id"].tolist() if images else None,
        "groups": shown["group"].tolist() if images and grouped else None,
        "thumbnails": _sheet(contents.thumbnails, shown["id"].tolist()) if images else None,
    }


def _places(fitted: pd.DataFrame, shown: pd.DataFrame, space: Space) -> dict[str, Any]:
    """Return the positions of samples in a space by each projection."""
    columns = code_columns(fitted, space)
    places = {"PCA": principal_places(fitted, shown, space)}
    if (umap := _umap(shown[columns].to_numpy(float))) is not None:
        places["UMAP"] = _rounded(umap, ["UMAP 1", "UMAP 2"])
    return {"dimensions": len(columns), "places": places}


def principal_places(fitted: pd.DataFrame, shown: pd.DataFrame, space: Space) -> dict[str, Any]:
    """Return x, y and axis titles: the first two principal components of `fitted`, or the only code."""
    columns = code_columns(fitted, space)
    codes = shown[columns].to_numpy(float)
    if len(columns) == 1:  # at random heights, so that points do not overlap
        heights = np.random.default_rng(0).uniform(-0.5, 0.5, size=len(codes))
        return _rounded(np.column_stack([codes, heights]), [columns[0], ""])
    return _principal(fitted[columns].to_numpy(float), codes)


def _principal(fitted: AnyArray, codes: AnyArray) -> dict[str, Any]:
    """Return positions on the first two principal components of `fitted`."""
    components, widths = principal_components(fitted)
    share = 100 * widths**2 / max(float((widths**2).sum()), np.finfo(float).tiny)
    axes = [f"PC {i + 1} ({share[i]:.0f} % of variance)" for i in range(len(components[:2]))]
    return _rounded((codes - fitted.mean(axis=0)) @ components[:2].T, axes)


def _umap(codes: AnyArray) -> AnyArray | None:
    """Return UMAP positions; None if umap-learn is missing, or codes are too few or constant."""
    try:
        umap = import_module("umap")
    except ImportError:
        return None
    if len(codes) < MIN_UMAP or codes.shape[1] < 2 or np.ptp(codes, axis=0).max() == 0:
        return None
    return np.asarray(umap.UMAP(n_components=2, random_state=0, n_jobs=1).fit_transform(codes))


def _rounded(places: AnyArray, axes: list[str]) -> dict[str, Any]:
    """Round to four significant digits, which are finer than any screen."""
    rounded = {axis: [float(f"{value:.4g}") for value in places[:, i]] for i, axis in enumerate("xy")}
    return {**rounded, "axes": axes}


def coloured_columns(contents: Contents, shown: pd.DataFrame, *, images: bool) -> list[dict[str, Any]]:
    """Return the columns to colour by: the label, and each attribute that has a value."""
    kinds, columns = contents.folder.kinds(), []
    for name in ["label", *attribute_columns(shown)]:
        known = shown[name].dropna()
        if known.empty:
            continue
        kind = "categorical" if name == "label" else attribute_kind(shown[name], kinds)
        if kind == "continuous" and known.dtype.kind in "iufb":
            values = [float(f"{v:.6g}") if math.isfinite(v) else None for v in shown[name].astype(float)]
            columns.append({"name": name, "values": values})
            continue
        # Without images, a class must cover so many groups that it identifies nobody.
        groups = shown.loc[known.index, "group"].groupby(known.astype(str)).nunique()
        if images or name == "label" or groups.min() >= MIN_GROUPS:
            columns.append(_classes(name, shown))
    return columns


def _classes(name: str, shown: pd.DataFrame) -> dict[str, Any]:
    """Return class names in legend order, the style of each, and the class index of each sample."""
    from sepvae.plotting.codes import ALL_OTHERS, STYLES, as_words, categories

    words, names = categories(shown[name], shown["y"] if name == "label" else None)
    place, own = {word: i for i, word in enumerate(names)}, as_words(shown[name])
    return {
        "name": name,
        "names": names,
        "looks": [{"color": c, "symbol": SYMBOLS[m]} for c, m in STYLES[: len(names)]],
        "values": [place.get(word) for word in words],
        # Classes that share the last colour keep their own names.
        "words": own.where(own.notna(), None).tolist() if ALL_OTHERS in place else None,
    }


def _sheet(thumbnails: dict[str, AnyArray] | None, ids: list[str]) -> dict[str, Any] | None:
    """Return all thumbnails as one JPEG sheet, and the cell of each sample, -1 for none."""
    from PIL import Image

    if thumbnails is None:
        return None
    row_of = {str(name): i for i, name in enumerate(thumbnails["ids"])}
    known = [name for name in ids if name in row_of]
    if not known:
        return None
    images = thumbnails["images"][[row_of[name] for name in known]].transpose(0, 2, 3, 1)
    height, width = images.shape[1:3]
    pad = [(0, -side % BLOCK) for side in (height, width)]
    images = np.pad(images, [(0, 0), *pad, (0, 0)], mode="edge")
    _, cell_height, cell_width, channels = images.shape
    lines = -(-len(images) // SHEET_COLUMNS)
    mode, size = "L" if channels == 1 else "RGB", (SHEET_COLUMNS * cell_width, lines * cell_height)
    sheet, file = Image.new(mode, size), io.BytesIO()
    for i, image in enumerate(images):
        line, column = divmod(i, SHEET_COLUMNS)
        cell = Image.fromarray(image[:, :, 0] if channels == 1 else image)
        sheet.paste(cell, (column * cell_width, line * cell_height))
    sheet.save(file, "JPEG", quality=QUALITY, subsampling=0)
    place = {name: i for i, name in enumerate(known)}
    return {
        "uri": "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode(),
        "columns": SHEET_COLUMNS,
        "lines": lines,
        "cell": [cell_width, cell_height],
        "size": [width, height],
        "cells": [place.get(name, -1) for name in ids],
    }
