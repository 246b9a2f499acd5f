"""What the page does when it is used: each callback reads the state of the page, and keeps none here."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from dash import ALL, Dash, Input, Output, Patch, State, ctx, html, no_update

from sepvae.codes import SPACES
from sepvae.errors import count
from sepvae.explore import layout, views
from sepvae.explore.pictures import joined_png
from sepvae.explore.run import ExploredRun
from sepvae.explore.scatter import Scatter

Scatters = Callable[[str], Scatter]  # by part
PERSON, DONOR = Input("person", "value"), Input("donor", "value")
PART, BASIS = Input("part", "value"), Input("basis", "value")
AT = Input({"type": "plane", "index": ALL}, "value")
MOVED = Input({"type": "axis", "index": ALL}, "value")


def register(app: Dash, run: ExploredRun) -> None:
    """Give the page its parts and callbacks; a run without decoder has fewer."""
    scatters = cache(lambda part: Scatter(run, part))
    app.layout = layout.page(run, [*scatters("all").columns])
    _scatter(app, scatters, swaps=run.swaps)
    _selection(app, run, scatters)
    _search(app, run)
    _person(app, run)
    if run.swaps:
        _moving(app, run)
        _swap(app, run)


def _scatter(app: Dash, scatters: Scatters, *, swaps: bool) -> None:
    """Draw both spaces, with rings around the person and the other person."""

    @app.callback(
        *(Output(space, "figure") for space in SPACES),
        Output("legend", "children"),
        Input("colour", "value"),
        PART,
        PERSON,
        DONOR if swaps else State("person", "value"),
        State("selection", "data"),
    )
    def draw(column: str, part: str, person: int, donor: int | None, selected: list[int]) -> Any:
        scatter = scatters(part)
        rings = {space: scatter.rings(space, person, donor if swaps else None) for space in SPACES}
        if ctx.triggered_id in ("person", "donor"):
            patches = {space: Patch() for space in SPACES}
            for space, patch in patches.items():
                patch["layout"]["shapes"] = rings[space]
            return *patches.values(), no_update
        figures = [scatter.figure(space, column, selected) for space in SPACES]
        for space, figure in zip(SPACES, figures, strict=True):
            figure["layout"]["shapes"] = rings[space]
        return *figures, layout.legend(scatter.legend(column))

    @app.callback(
        Output("download", "data", allow_duplicate=True),
        Input("save-view", "n_clicks"),
        State("colour", "value"),
        State("part", "value"),
        prevent_initial_call=True,
    )
    def save(_clicks: int, column: str, part: str) -> Any:
        return {"content": scatters(part).svg(column), "filename": "codes.svg"}


def _selection(app: Dash, run: ExploredRun, scatters: Scatters) -> None:
    """Keep the people that a lasso holds in either space, mark them in both, and save them."""
    patched = [Output(space, "figure", allow_duplicate=True) for space in SPACES]

    @app.callback(
        Output("selection", "data"),
        *patched,
        *(Input(space, "selectedData") for space in SPACES),
        Input("clear", "n_clicks"),
        State("part", "value"),
        prevent_initial_call=True,
    )
    def select(common: Any, salient: Any, _clicks: Any, part: str) -> Any:
        held = {"common": common, "salient": salient}.get(ctx.triggered_id)
        if held is not None and not held["points"]:  # plotly says so of a lasso that is taken away, too
            return [no_update] * (1 + len(SPACES))
        rows = [int(point["customdata"]) for point in (held or {}).get("points", [])]
        patches = {space: Patch() for space in SPACES}
        for patch in patches.values():
            patch["data"][0]["selectedpoints"] = scatters(part).selected_points(rows)
            patch["layout"]["selections"] = []  # the lasso has done its work; it would hold its space alone
            patch["layout"]["selectionrevision"] = len(rows)
        return rows, *patches.values()

    @app.callback(
        Output("selected", "children"),
        Output("save-selection", "disabled"),
        Output("clear", "disabled"),
        Input("selection", "data"),
    )
    def describe(rows: list[int]) -> Any:
        if not rows:
            return "Draw around people to select them.", True, True
        labels = run.codes.loc[rows, "label"].value_counts()
        parts = ", ".join(f"{label}: {n}" for label, n in labels.items())
        return f"{count(len(rows), 'sample')} selected; {parts}", False, False

    @app.callback(
        Output("download", "data"),
        Input("save-selection", "n_clicks"),
        State("selection", "data"),
        prevent_initial_call=True,
    )
    def save(_clicks: int, rows: list[int]) -> Any:
        return {"content": run.selection(rows).to_csv(index=False), "filename": "selection.csv"}


def _search(app: Dash, run: ExploredRun) -> None:
    """Choose people by their id, or by a click."""
    names = ("person", "donor")[: 1 + run.swaps]
    for name in names:
        found = Output(name, "options")
        app.callback(found, Input(name, "search_value"), State(name, "value"), prevent_initial_call=True)(
            run.found
        )

    # Options come with the value: a value that is not among them would be cleared.
    @app.callback(
        *(Output(name, of, allow_duplicate=True) for name in names for of in ("value", "options")),
        *(Input(space, "clickData") for space in SPACES),
        *[State("click", "value")] * run.swaps,
        prevent_initial_call=True,
    )
    def choose(common: Any, salient: Any, chooses: str = "person") -> Any:
        clicked = {"common": common, "salient": salient}[str(ctx.triggered_id)]
        row = int(clicked["points"][0]["customdata"])
        given = [(row, run.found(None, row)) if name == chooses else (no_update, no_update) for name in names]
        return [value for pair in given for value in pair]


def _person(app: Dash, run: ExploredRun) -> None:
    """Show a person."""

    @app.callback(
        Output("sheet", "children"), Output("about", "children"), Output("pictures", "children"), PERSON, AT
    )
    def show(row: int, at: list[int]) -> Any:
        return layout.sheet(run.sheet(row), run.note), views.about_person(run, row), shown(row, at)

    def shown(row: int, at: list[int]) -> Any:
        if not run.decodes:
            return []
        if run.kind == "surface":
            return views.surface_words(run, row)
        if run.kind == "table":
            return layout.bars(views.person_bars(run, row))
        return layout.pictures(views.person_pictures(run, row, at))

    if not run.draws:
        return

    @app.callback(
        Output("download", "data", allow_duplicate=True),
        Input("save-pictures", "n_clicks"),
        *(State(one.component_id, one.component_property) for one in (PERSON, DONOR, AT, MOVED, BASIS)),
        prevent_initial_call=True,
    )
    def save(_clicks: int, row: int, donor: int | None, at: list[int], moved: list[float], basis: Any) -> Any:
        pictures = views.person_pictures(run, row, at)
        salient = run.axes(basis).moved(run.salient[row], np.array(moved))
        pictures += views.moved_pictures(run, row, salient, at)
        names = run.codes["id"][row]
        if donor is not None:
            pictures += views.swapped_pictures(run, row, donor, at)
            names = f"{names}; the other is {run.codes['id'][donor]}"
        png = b64encode(joined_png(pictures, f"{run.title}: {names}")).decode()
        return {"content": png, "filename": "pictures.png", "base64": True}


def _moving(app: Dash, run: ExploredRun) -> None:
    """Move the person along salient axes."""

    @app.callback(Output("sliders", "children"), PERSON, BASIS, Input("own", "n_clicks"))
    def place(row: int, basis: Any, _own: Any) -> Any:
        axes = run.axes(basis)
        return layout.sliders(axes, axes.positions(run.salient[row]).tolist())

    @app.callback(Output("moved", "children"), MOVED, AT, State("person", "value"), State("basis", "value"))
    def move(positions: list[float], at: list[int], row: int, basis: Any) -> Any:
        axes = run.axes(basis)
        if len(positions) != len(axes.names):  # sliders of the other basis are still there
            return no_update
        salient = axes.moved(run.salient[row], np.array(positions, float))
        if run.kind == "table":
            return layout.bars(views.person_bars(run, row, moved=run.decode(row, salient[None])[0]))
        return layout.pictures(views.moved_pictures(run, row, salient, at))


def _swap(app: Dash, run: ExploredRun) -> None:
    """Swap the salient part with another person."""

    @app.callback(Output("swap", "children"), PERSON, DONOR, AT)
    def swap(row: int, donor: int | None, at: Sequence[int]) -> Any:
        if donor is None:
            return html.P("No other person is chosen yet.")
        if run.kind == "table":
            swapped = run.decode(row, run.salient[[donor]])[0]
            return layout.bars(views.person_bars(run, row, swapped=swapped))
        return layout.pictures(views.swapped_pictures(run, row, donor, at))
