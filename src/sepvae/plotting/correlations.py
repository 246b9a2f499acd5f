"""Map of the correlations between salient axes and attributes."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sepvae.errors import DataError
from sepvae.plotting.palette import DIFFERENCES, NEUTRAL
from sepvae.plotting.words import shortened

SYMBOLS = {"spearman": "\N{GREEK SMALL LETTER RHO}", "eta": "\N{GREEK SMALL LETTER ETA}"}
MAX_P = 0.05  # largest adjusted p-value of a marked value
CELL = 0.5  # inches


def correlation_map(correlations: pd.DataFrame) -> Figure:
    """
    Draw the correlations of salient axes with attributes, one row per attribute and one column per axis.

    Values in bold with a star have an adjusted p-value of 0.05 or less. The correlation ratio (η) has no
    sign; it is drawn in the colours of positive values.

    Parameters
    ----------
    correlations : DataFrame
        Columns attribute, population, axis, measure, value and p_adjusted, as in `correlations.csv`.

    Returns
    -------
    Figure
        The figure, not attached to any window.

    Raises
    ------
    DataError
        If the table has no rows.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"attribute": "age", "population": "all", "axis": "salient0", "measure": "spearman"}
    >>> figure = correlation_map(pd.DataFrame([row | {"value": 0.4, "p_adjusted": 0.01}]))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0.40*']
    """
    if correlations.empty:
        raise DataError("correlations hold nothing to draw: there is no row")
    keys = ["attribute", "population", "measure"]
    rows = list(correlations[keys].drop_duplicates().itertuples(index=False, name=None))
    axes = list(correlations["axis"].unique())
    by_cell = correlations.set_index([*keys, "axis"])
    values, p_values = (
        np.array([[by_cell[column].get((*row, axis), np.nan) for axis in axes] for row in rows], dtype=float)
        for column in ("value", "p_adjusted")
    )
    size = (CELL * len(axes) + 3.4, CELL * 0.72 * len(rows) + 1.1)
    figure = Figure(figsize=size, layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(values, cmap=DIFFERENCES, vmin=-1, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        marked = bool(p_values[i, j] <= MAX_P)
        ax.text(
            j,
            i,
            "-" if np.isnan(value) else f"{value:.2f}" + "*" * marked,
            ha="center",
            va="center",
            fontsize=7,
            weight="bold" if marked else "normal",
            color="white" if abs(value) > 0.6 else NEUTRAL,
        )
    ax.set_xticks(range(len(axes)), axes, rotation=45, ha="right", fontsize=8)
    ax.set_yticks(range(len(rows)), [_name(*row) for row in rows], fontsize=8, parse_math=False)
    ax.tick_params(length=0, labelcolor=NEUTRAL)
    ax.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=ax, fraction=0.05, pad=0.02, ticks=[-1, 0, 1])
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, length=2)
    return figure


def _name(attribute: str, population: str, measure: str) -> str:
    among = "" if population == "all" else f", {population}"
    return f"{shortened(attribute)} ({SYMBOLS[measure]}{among})"
