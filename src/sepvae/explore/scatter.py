"""Scatter of both spaces: figures and legend by the colours of the report, without a browser."""

import io
import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from sepvae.codes import SPACES, Space
from sepvae.explore.run import ExploredRun
from sepvae.plotting.codes import code_scatter
from sepvae.plotting.palette import AMOUNTS, MISSING, NEUTRAL, OTHERS, shortened
from sepvae.report.scatter import coloured_columns, principal_places

CLEAR = "rgba(0,0,0,0)"
PLAIN = {  # layout of all figures
    "paper_bgcolor": CLEAR,
    "plot_bgcolor": CLEAR,
    "font": {"family": "inherit", "color": NEUTRAL},
    "modebar": {"bgcolor": CLEAR, "color": OTHERS, "activecolor": NEUTRAL},
}
RING = {"person": (9, "solid"), "donor": (9, "dot")}  # half width in pixels, and line


class Scatter:
    """Positions of the people of a part in both spaces, and the columns that colour them."""

    def __init__(self, run: ExploredRun, part: str) -> None:
        self.rows = run.shown(part)
        shown, train = run.codes.iloc[self.rows], run.codes[run.codes["split"] == "train"]
        fitted = train if len(train) > 1 else shown
        self.places = {space: principal_places(fitted, shown, space) for space in SPACES}
        self.columns = {one["name"]: one for one in coloured_columns(run.contents, shown, images=True)}
        self.names = [escape(shortened(name)) for name in shown["id"]]  # plotly interprets tags
        self._shown, self._position = shown, {int(row): i for i, row in enumerate(self.rows)}

    def figure(self, space: Space, column: str, selected: Sequence[int] = ()) -> dict[str, Any]:
        """Return plotly's figure of a space; `selected` are rows of `codes.csv`."""
        places, about = self.places[space], self._column(column)
        size = max(4.0, min(8.0, 160 / math.sqrt(max(len(self.rows), 1))))
        marker = {"color": _colours(about), "size": size, "opacity": 0.8, "symbol": _symbols(about)}
        trace = {
            "type": "scatter",
            "mode": "markers",
            **{axis: places[axis] for axis in "xy"},
            "customdata": self.rows.tolist(),
            "text": self.names,
            "hovertemplate": "%{text}<extra></extra>",
            "marker": marker | {"line": {"width": 0}},
            "unselected": {"marker": {"opacity": 0.12}},
            "selectedpoints": self.selected_points(selected),
        }
        x, y = (
            {"title": {"text": title, "font": {"size": 12}}, "zeroline": False} for title in places["axes"]
        )
        y |= {"scaleanchor": "x"} if places["axes"][1] else {"showticklabels": False, "range": [-2, 2]}
        layout = {
            **PLAIN,
            "margin": {"l": 48, "r": 8, "t": 24, "b": 44},
            "hovermode": "closest",
            "dragmode": "lasso",
            "showlegend": False,
            "uirevision": f"{space} {len(self.rows)}",  # keeps the zoom when colours change
        }
        return {"data": [trace], "layout": layout | {"xaxis": x, "yaxis": y}}

    def rings(self, space: Space, person: int | None, donor: int | None) -> list[dict[str, Any]]:
        """Return plotly's shapes around the person and the donor, where they are shown."""
        places, shapes = self.places[space], []
        for (name, (half, dash)), row in zip(RING.items(), (person, donor), strict=True):
            if row is None or (at := self._position.get(row)) is None:
                continue
            corners = {"x0": -half, "x1": half, "y0": -half, "y1": half}
            place = {"xanchor": places["x"][at], "yanchor": places["y"][at]}
            how = {"type": "circle", "name": name, "xsizemode": "pixel", "ysizemode": "pixel"}
            shapes.append(how | corners | place | {"line": {"color": NEUTRAL, "width": 2, "dash": dash}})
        return shapes

    def svg(self, column: str) -> str:
        """Return the figure of both spaces as SVG, as a run has it in `figures/`, but of these people."""
        file = io.StringIO()
        code_scatter(self._shown, self._column(column)["name"]).savefig(file, format="svg")
        return file.getvalue()

    def selected_points(self, rows: Sequence[int]) -> list[int] | None:
        """Return the positions of rows; None, which shows everyone alike, if there are none."""
        return [self._position[row] for row in rows if row in self._position] or None

    def _column(self, name: str) -> dict[str, Any]:
        """Return a column, or the label where nobody of this part has a value."""
        return self.columns.get(name, self.columns["label"])

    def legend(self, column: str) -> list[tuple[str, str, str]]:
        """Return colour, symbol and text of each entry; the ends of an amount are "low" and "high"."""
        about = self._column(column)
        missing = sum(value is None for value in about["values"])
        none = [(MISSING, "circle", f"no value ({missing})")] * bool(missing)
        if "names" not in about:
            low, high = _ends(about["values"])
            return [(_amount(0), "low", f"{low:.4g}"), (_amount(1), "high", f"{high:.4g}"), *none]
        counts = [about["values"].count(i) for i in range(len(about["names"]))]
        entries = zip(about["looks"], about["names"], counts, strict=True)
        return [
            (look["color"], look["symbol"], f"{shortened(name)} ({n})") for look, name, n in entries
        ] + none


def _colours(column: dict[str, Any]) -> list[str]:
    """Return the colour of each person."""
    if "names" in column:
        return [MISSING if i is None else column["looks"][i]["color"] for i in column["values"]]
    low, high = _ends(column["values"])
    width = high - low or 1.0
    return [MISSING if v is None else _amount((v - low) / width) for v in column["values"]]


def _symbols(column: dict[str, Any]) -> list[str] | str:
    if "names" not in column:
        return "circle"
    return ["circle" if i is None else column["looks"][i]["symbol"] for i in column["values"]]


def _ends(values: Sequence[float | None]) -> tuple[float, float]:
    known = np.array([value for value in values if value is not None])
    return float(known.min()), float(known.max())


def _amount(share: float) -> str:
    return to_hex(colormaps[AMOUNTS](float(share)))
