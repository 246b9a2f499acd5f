"""Figure of the agreement of several fits; axes, pixels and features that do not reproduce are hatched."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sepvae.batch import AnyArray
from sepvae.plotting.cells import limit_of, signed
from sepvae.plotting.palette import COMMON, DIFFERENCES, NEUTRAL, OTHERS, SALIENT
from sepvae.plotting.tables import draw_bars
from sepvae.run_folder import REPRODUCED

MOST = 20  # axes or features in a panel


def stability_figure(
    table: pd.DataFrame,
    mean: AnyArray | None = None,
    icc: AnyArray | None = None,
    features: Sequence[str] = (),
) -> Figure:
    """
    Draw how far the fits of a table of `compare_fits` agree: pairs, measures, salient axes and the map.

    `mean` is the mean group map over fits and `icc` its intraclass correlation: of named features, of images
    (channels, h, w), or of volumes (1, x, y, z), whose axial slice with the largest map is drawn.
    """
    figure = Figure(figsize=(10, 8 if mean is not None else 7), layout="constrained")
    (top_left, top_right), (left, right) = figure.subplots(2, 2)
    _pairs(top_left, table)
    _measures(top_right, table)
    _axes(left, table)
    if mean is None or icc is None:
        right.remove()
    elif features:
        order = np.argsort(-np.abs(mean), kind="stable")[:MOST]
        names = [features[i] for i in order]
        draw_bars(right, mean[order], names, lost=np.nan_to_num(icc[order]) < REPRODUCED)
        _title(right, f"Largest of the group map; hatched: ICC over fits below {REPRODUCED:g}")
        right.set_xlabel("what the salient part adds to targets, standardised", fontsize=8, color="0.4")
    else:
        _map(right, mean, icc)
    return figure


def _pairs(ax: Axes, table: pd.DataFrame) -> None:
    """Draw the alignment of salient codes of each pair of fits, the most central fit first."""
    fits = table.loc[table["measure"] == "central", "first"].tolist()
    pairs = table.query("measure == 'alignment' and space == 'salient' and second != ''")
    values = np.full((len(fits), len(fits)), np.nan)
    for first, second, score in pairs[["first", "second", "score"]].itertuples(index=False):
        i, j = fits.index(first), fits.index(second)
        values[i, j] = values[j, i] = score
    ax.imshow(values, cmap="Blues", vmin=0, vmax=1)
    for (i, j), value in np.ndenumerate(values):
        if i != j:
            ink = "white" if value > 0.6 else NEUTRAL
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color=ink)
    ax.set_xticks(range(len(fits)), fits, rotation=45, ha="right", fontsize=8)
    ax.set_yticks(range(len(fits)), fits, fontsize=8)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    _title(ax, "Alignment of salient codes; most central first")


def _measures(ax: Axes, table: pd.DataFrame) -> None:
    """Draw each measure: a dot for each pair of fits, their mean with its interval, and chance."""
    means = table.query("first == '' and second == ''")
    names = means["space"] + ": " + means["measure"]
    for y, mean in enumerate(means.to_dict("records")):
        color = SALIENT if mean["space"] == "salient" else COMMON
        same = (table["space"] == mean["space"]) & (table["measure"] == mean["measure"])
        scores = table.loc[same & (table["second"] != ""), "score"]
        ax.plot(scores, [y] * len(scores), "o", color=color, alpha=0.3, markersize=4, markeredgewidth=0)
        ax.plot([mean["low"], mean["high"]], [y, y], color=color, linewidth=2)
        ax.plot(mean["score"], y, "o", color=color, markersize=6)
        ax.plot(mean["chance"], y, "|", color=NEUTRAL, markersize=10)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set(ylim=(len(names) - 0.5, -0.5), xlim=(min(-0.05, table["score"].min() - 0.02), 1.03))
    ax.tick_params(length=0, labelsize=8)
    ax.grid(axis="x", color="0.9", linewidth=0.6)
    ax.spines[:].set_visible(False)
    _title(ax, "Agreement: pairs (pale), mean with interval, chance (|)")


def _axes(ax: Axes, table: pd.DataFrame) -> None:
    """Draw how well each salient axis of the most central fit is found in the other fits."""
    fit = table.loc[table["measure"] == "central", "first"].iloc[0]
    rows = table[(table["measure"] == "axis") & (table["first"] == fit)]
    scores, names = rows["score"].to_numpy(float), rows["axis"].tolist()
    draw_bars(ax, scores[:MOST], names[:MOST], color=SALIENT, lost=scores[:MOST] < REPRODUCED)
    ax.set_xlim(min(0, scores.min()), 1)
    n_found = (scores >= REPRODUCED).sum()
    _title(ax, f"{n_found} of {len(rows)} axes of {fit} are found in the other fits")
    ax.set_xlabel("correlation with the other fits after rotation", fontsize=8, color="0.4")


def _map(ax: Axes, mean: AnyArray, icc: AnyArray) -> None:
    """Draw the mean map of images, or the axial slice of volumes where it is largest."""
    if mean.ndim == 4:
        level = int((mean[0] ** 2).sum(axis=(0, 1)).argmax())
        mean, icc = (values[..., ::-1, level].swapaxes(-1, -2) for values in (mean, icc))
    values, agreement = signed(mean), signed(np.nan_to_num(icc))
    image = ax.imshow(values, cmap=DIFFERENCES, vmin=-limit_of(values), vmax=limit_of(values))
    lost = (agreement < REPRODUCED) & (values != 0)
    if lost.any() and not lost.all():
        ax.contourf(lost, levels=[0.5, 1.5], colors=[OTHERS], alpha=0.35, hatches=["////"])
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.045, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, length=2)
    _title(ax, f"Group map, mean over fits; hatched: ICC below {REPRODUCED:g}")


def _title(ax: Axes, text: str) -> None:
    ax.set_title(text, fontsize=9, loc="left", color=NEUTRAL, parse_math=False)
