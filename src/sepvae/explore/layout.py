"""Components of the page: its parts with nothing chosen, and what callbacks fill in."""

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from dash import dcc, html

from sepvae.codes import SPACES
from sepvae.explore.axes import SalientAxes
from sepvae.explore.pictures import Picture
from sepvae.explore.run import ExploredRun
from sepvae.plotting import palette

Component = Any  # of Dash, which has a class for each
PARTS = {"test": "held-out people", "all": "everyone"}
BASES = {"components": "principal components", "dimensions": "single dimensions"}
CLICKS = {"person": "a click shows a person", "donor": "a click chooses the other person"}
LONG = 28  # characters
TOOLS = ("lasso2d", "select2d", "zoom2d", "pan2d")
PLANES = ("left to right", "back to front", "bottom to top")


def index_page() -> str:
    """Return the HTML around the page, in the style of the report."""
    style = "".join(
        files(room).joinpath(name).read_text("utf-8")
        for room, name in (("sepvae.report", "page.css"), ("sepvae.explore", "explore.css"))
    )
    colours = f":root {{ --common: {palette.COMMON}; --salient: {palette.SALIENT}; }}"
    return (
        '<!DOCTYPE html><html lang="en"><head>{%metas%}<title>{%title%}</title>{%css%}'
        f"<style>{colours}{style}</style></head><body>"
        "{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body></html>"
    )


def page(run: ExploredRun, columns: Sequence[str]) -> Component:
    """Return the whole page."""
    codes = run.codes
    dims = f"{run.common.shape[1]} common and {run.salient.shape[1]} salient dimensions"
    facts = f"{len(codes)} samples, {run.in_test.sum()} held out · {dims} · nothing leaves this machine"
    left, right = _left(run, columns), _right(run)
    if run.swaps:  # volumes fill the right side
        (left if run.kind == "volume" else right).append(_swap(run))
    return html.Div(
        [
            html.Header([html.P("sepvae explore", className="kicker"), html.H1(run.title), html.P(facts)]),
            html.Main([html.Div(part) for part in (left, right)]),
            dcc.Store(id="selection", data=[]),
            dcc.Download(id="download"),
        ],
        className="explorer",
    )


def _left(run: ExploredRun, columns: Sequence[str]) -> list[Component]:
    """Return the scatter of both spaces with the selection, and the sliders."""
    controls = [
        html.Label(["Colour by", _choice("colour", {name: name for name in columns}, "label")]),
        html.Label(["Show", _choice("part", PARTS, "test")]),
        html.Button("Save view (SVG)", id="save-view"),
        *[dcc.RadioItems(CLICKS, "person", id="click", inline=True, className="radio")] * run.swaps,
    ]
    graph: dict[str, Any] = {"config": camera(*TOOLS), "style": {"height": "19rem"}}
    spaces = [
        html.Div([html.H2(f"{space.capitalize()} space", className=space), dcc.Graph(id=space, **graph)])
        for space in SPACES
    ]
    selected = [
        html.Span(id="selected", role="status"),
        html.Button("Save selection (CSV)", id="save-selection", disabled=True),
        html.Button("Clear", id="clear", disabled=True),
    ]
    scatter = [
        html.Div(controls, className="controls"),
        html.Div(id="legend", className="legend"),
        html.Div(spaces, className="spaces"),
        html.Div(selected, className="controls"),
    ]
    return [html.Section(scatter), *[_moving(run)] * run.swaps]


def _right(run: ExploredRun) -> list[Component]:
    """Return the person, with sliders of the planes of volumes."""
    sides = run.model.sample_shape_[1:] if run.kind == "volume" and run.decodes else ()
    planes = [
        html.Label([name, _slider({"type": "plane", "index": i}, 0, side - 1, side // 2, step=1, marks=None)])
        for i, (name, side) in enumerate(zip(PLANES, sides, strict=False))
    ]
    save = [html.Button("Save pictures (PNG)", id="save-pictures")] * run.draws
    person = [
        html.Div([html.H2("Person"), _search(run, "person", run.first()), *save], className="controls"),
        html.Div(id="pictures", className=f"pictures {run.kind}"),
        html.Div(planes, className="planes"),
        html.P(id="about", className="note"),
        html.Div(id="sheet"),
    ]
    return [html.Section(person)]


def _swap(run: ExploredRun) -> Component:
    """Return the swap with another person."""
    swap = [
        html.Div([html.H2("Swap the salient part with"), _search(run, "donor", None)], className="controls"),
        html.Div(id="swap", className=f"pictures {run.kind}"),
    ]
    return html.Section(swap)


def _moving(run: ExploredRun) -> Component:
    """Return the sliders along salient axes, beside what they make of the person."""
    head = [
        html.H2("Move along salient axes", className="salient"),
        _choice("basis", BASES, "components"),
        html.Button("Back to own", id="own"),
    ]
    note = (
        "Sliders go as far as codes of the training part do, in units of the code; what they do not span "
        "stays the person's own. Percent is the share of the salient variance."
    )
    moving = [
        html.Div(head, className="controls"),
        html.Div(
            [html.Div(id="sliders"), html.Div(id="moved", className=f"pictures {run.kind}")],
            className="moving",
        ),
        html.P(note, className="note"),
    ]
    return html.Section(moving)


def pictures(shown: Sequence[Picture]) -> list[Component]:
    """Return pictures with their titles."""
    return [
        html.Figure([html.Figcaption(one.title), html.Img(src=one.uri, alt=one.title)], className="picture")
        for one in shown
    ]


def bars(figure: dict[str, Any]) -> Component:
    """Return bars of features."""
    return dcc.Graph(figure=figure, config=camera(), style={"height": "22rem"}, className="bars")


def sliders(axes: SalientAxes, own: Sequence[float]) -> list[Component]:
    """Return a slider for each salient axis; a person beyond the training codes widens the range."""
    found = []
    for i, (name, low, high) in enumerate(zip(axes.names, axes.low, axes.high, strict=True)):
        words = html.Span(f"{low:.2f} to {high:.2f}", className="range")
        ends = min(low, own[i]), max(high, own[i])
        digits = 2 - math.floor(math.log10(ends[1] - ends[0] or 1.0))
        left, right, at = (round(x, digits) for x in (*ends, own[i]))
        how = {"step": 10.0**-digits, "marks": {at: "own"}}
        slider = _slider({"type": "axis", "index": i}, min(left, at), max(right, at), at, **how)
        found.append(html.Label([html.Span([name, words]), slider]))
    return found


def sheet(facts: Mapping[str, str], note: str) -> list[Component]:
    """Return the facts on a person; long ones take a line of their own."""
    rows = {name: html.Div([html.Dt(name), html.Dd(value)]) for name, value in facts.items()}
    long = [row for name, row in rows.items() if len(facts[name]) > LONG]
    short = [row for name, row in rows.items() if len(facts[name]) <= LONG]
    parts = [html.Dl(short, className="settings"), html.Dl(long, className="settings long")]
    return [*parts, html.P(note, className="note")]


def legend(entries: Sequence[tuple[str, str, str]]) -> list[Component]:
    """Return the entries of the legend; a colour bar stands between the ends of an amount."""
    found = []
    for colour, symbol, text in entries:
        style = {"--mark": colour}
        mark = [] if symbol in ("low", "high") else [html.Span(className=f"mark {symbol}", style=style)]
        bar = [html.Span(className="colorbar")] if symbol == "high" else []
        found += [*bar, html.Span([*mark, text], className="entry")]
    return found


def camera(*tools: str) -> Any:
    """Return plotly's settings of a figure with these tools, whose camera saves a PNG."""
    saved = {"format": "png", "filename": "sepvae", "scale": 3}
    buttons = [[*tools], ["resetScale2d", "toImage"]] if tools else [["toImage"]]
    return {
        "displaylogo": False,
        "modeBarButtons": buttons,
        "toImageButtonOptions": saved,
        "displayModeBar": True,
    }


def _choice(name: str, options: Mapping[str, str], value: str) -> Component:
    return dcc.Dropdown(dict(options), value, id=name, clearable=False, searchable=len(options) > 8)


def _search(run: ExploredRun, name: str, row: int | None) -> Component:
    how: dict[str, Any] = {"clearable": name == "donor", "className": "people"}
    return dcc.Dropdown(run.found(None, row), row, id=name, placeholder="click one, or type an id", **how)


def _slider(name: dict[str, Any], low: float, high: float, value: float, **given: Any) -> Component:
    """Return a slider that answers while it is dragged."""
    how: dict[str, Any] = {"updatemode": "drag", "included": False, "allow_direct_input": False}
    return dcc.Slider(low, high, value=value, id=name, tooltip={"placement": "top"}, **how, **given)
