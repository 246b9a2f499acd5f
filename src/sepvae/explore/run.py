"""`ExploredRun`: the people of a run, and the model that decodes their codes; nothing of the page."""

from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray, IntArray, in_unit_range
from sepvae.codes import SPACES, attribute_columns, code_columns
from sepvae.data.arrays import ArraySource
from sepvae.evaluation.patient_sheet import NO_DIAGNOSIS, OVER_SEEDS, sheet_note
from sepvae.explore.axes import Basis, SalientAxes, salient_axes
from sepvae.mesh import Mesh
from sepvae.methods import load
from sepvae.report.contents import Contents, title
from sepvae.report.scatter import MAX_POINTS
from sepvae.runs.new_data import Samples

KINDS = {1: "table", 3: "image", 4: "volume"}  # by the axes of a sample
KEPT, FOUND = 8, 50  # people in memory, and in a list


class Person(NamedTuple):
    """One person as the model sees them, tables standardised; the input is None if it is not known."""

    full: AnyArray
    common_only: AnyArray
    input: AnyArray | None
    source: str  # of the input


class ExploredRun:
    """Codes of all people of a run in the order of `codes.csv`, decoded on request."""

    def __init__(self, path: Path, samples: Samples | None = None) -> None:
        """Read the run; raise if it has no codes, or its model cannot be read."""
        self.contents = contents = Contents(path)
        self.folder, self.title = contents.folder, title(contents.recipe)
        self.codes = self.folder.codes.required()
        self.attributes = self.codes[attribute_columns(self.codes)]
        self.in_test = (self.codes["split"] == "test").to_numpy()
        self.people = None if (people := self.folder.people.read()) is None else people.set_index("id")
        self.examples = self.folder.examples.read("inputs", "ids") or {"ids": np.array([])}
        self.model, self.samples = load(path), samples
        self.common, self.salient = (
            self.codes[code_columns(self.codes, s)].to_numpy(np.float32) for s in SPACES
        )
        self.names = [*map(str, getattr(self.model, "feature_names_in_", range(self.model.sample_shape_[0])))]
        surface = Mesh.of_features(self.names) is not None
        self.kind = "surface" if surface else KINDS[len(self.model.sample_shape_)]
        self.decodes = self.model.capabilities.decoder
        self.swaps = self.decodes and not surface  # whether the page shows people with other salient parts
        self.draws = self.decodes and self.kind in ("image", "volume")
        self._lock = Lock()  # around the model: requests come in threads
        self.person, self.axes = lru_cache(KEPT)(self._person), lru_cache(self._axes)

    def shown(self, part: str) -> IntArray:
        """Return rows in random order, of the test part or of everyone; at most as many as in the report."""
        rows = np.flatnonzero(self.in_test) if part == "test" else np.arange(len(self.codes))
        return np.random.default_rng(0).permutation(rows)[:MAX_POINTS]

    def found(self, search: str | None, row: int | None) -> list[dict[str, Any]]:
        """Return the choices of people: that of a row, and the first whose id holds a text."""
        ids, labels = self.codes["id"], self.codes["label"]
        named = np.flatnonzero(ids.str.contains(search or "", case=False, regex=False))[:FOUND]
        rows = dict.fromkeys([*([] if row is None else [row]), *map(int, named)])
        return [{"label": f"{ids[i]} ({labels[i]})", "value": i} for i in rows]

    def first(self) -> int:
        """Return the row of the first target of the test part whose image is known, else of someone near."""
        known = self.codes["id"].isin(self.examples["ids"]).to_numpy()
        return int(np.argmax(2 * self.in_test + 2 * (self.codes["y"] == 1).to_numpy() + known))

    def decode(self, row: int, salient: AnyArray) -> AnyArray:
        """Decode the common code of a person with salient codes (k, d); tables stay standardised."""
        rows = [row] * len(salient)
        about = self.attributes.iloc[rows] if getattr(self.model, "condition_on", None) else None
        how: dict[str, Any] = {"standardised": self.model.scaler_ is not None, "covariates": about}
        with self._lock:
            return self.model.decode(self.common[rows], salient.astype(np.float32), **how)

    def _person(self, row: int) -> Person:
        """Return a person with both reconstructions."""
        own = self.salient[row]
        full, common_only = self.decode(row, np.stack([own, np.zeros_like(own)]))
        return Person(full, common_only, *self._input(row))

    def _input(self, row: int) -> tuple[AnyArray | None, str]:
        """Return the input of a person, and its file: the data, else examples or thumbnails of the run."""
        name = self.codes["id"][row]
        if self.samples is not None:
            train, test = self.samples.train, self.samples.test
            part, at = (train, row) if row < len(train) else (test, row - len(train))
            return self._as_seen(part.select(np.array([at]))), "DATA"
        if len(found := np.flatnonzero(self.examples["ids"] == name)):
            x, about = self.examples["inputs"][found[:1]], self.attributes.iloc[[row]].reset_index(drop=True)
            x = x.astype(np.float32) if x.dtype == np.float16 else x
            names = getattr(self.model, "feature_names_in_", None)
            seen = self._as_seen(ArraySource(x, [""], attributes=about, feature_names=names))
            return seen, self.folder.examples.path.name
        small = self.contents.thumbnails if self.kind == "image" else None
        if small is not None and len(found := np.flatnonzero(small["ids"] == name)):
            return in_unit_range(small["images"][found[0]]), self.folder.thumbnails.path.name
        return None, ""

    def _as_seen(self, source: Any) -> AnyArray:
        """Return the only sample of a source; a table as the network sees it."""
        seen = source if self.model.scaler_ is None else self.model.prepare(source)
        return np.asarray(in_unit_range(seen.take(np.arange(1)).x)[0])

    def _axes(self, basis: Basis) -> SalientAxes:
        """Return directions in the salient space, by the codes of the training part."""
        return salient_axes(self.salient[~self.in_test], self.folder.blocks(), basis)

    def sheet(self, row: int) -> dict[str, str]:
        """Return facts on a person by name; the salient load is that of `people.csv`, of held-out people."""
        about = self.codes.iloc[row]
        role = "" if pd.isna(about["y"]) else ("background", "target")[about["y"]]
        label = about["label"] if role in ("", about["label"]) else f"{about['label']} ({role})"
        facts = {"label": label, "part": "held out" if self.in_test[row] else about["split"]}
        if about["group"] != about["id"]:
            facts["person"] = about["group"]
        if self.people is not None and about["id"] in self.people.index:
            known = self.people.loc[about["id"]]
            ends = {"": ("salient_centile_low", "salient_centile_high"), " over seeds": OVER_SEEDS[:2]}
            facts["salient load"] = f"{known['salient_load']:.2f}"
            facts["centile of controls"] = f"{known['salient_centile']:.0f}"
            for of, names in ends.items():
                if names[0] in known:
                    facts[f"centile{of}, range"] = " to ".join(f"{known[name]:.0f}" for name in names)
            facts["nearest patients"] = str(known["nearest_patients"])
        values = self.attributes.iloc[row].dropna()
        return facts | {
            str(name): f"{x:.4g}" if isinstance(x, float) else str(x) for name, x in values.items()
        }

    @cached_property
    def note(self) -> str:
        """Note on the centiles of held-out people."""
        if self.people is None:
            return NO_DIAGNOSIS
        controls = self.codes["group"][self.in_test & (self.codes["y"] == 0)]
        return sheet_note(controls.nunique(), self.people)

    def selection(self, rows: list[int]) -> pd.DataFrame:
        """Return rows of `codes.csv`, with the columns that `people.csv` adds."""
        found = self.codes.iloc[rows]
        if self.people is None:
            return found
        return found.join(self.people[self.people.columns.difference(found.columns, sort=False)], on="id")
