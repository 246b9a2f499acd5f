"""`Manifest`: the samples of a data set and the variables of each, before any sample is read."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray
from sepvae.checks import ask_for_background, guess_background, joined, severity_problem
from sepvae.codes import MAX_LEVELS, Kind
from sepvae.data.cells import TableNote
from sepvae.data.splits import side_of
from sepvae.errors import DataError, listed

if TYPE_CHECKING:
    from sepvae.data.formats import Format
    from sepvae.data.formats.array import MappedArray
    from sepvae.data.formats.brats import Slice
    from sepvae.data.nifti import Volumes
    from sepvae.data.surfaces import Surface
    from sepvae.grid import Grid
    from sepvae.mesh import Mesh

FEATURES_WRITTEN = ""  # key of all features in `Manifest.written`; no attribute has this name
OF_EVERY_SAMPLE = ["id", "group", "label", "split"]  # columns of `about`; all others are attributes


@dataclass(frozen=True)
class Manifest:
    """Samples on disk that are not read yet: images, volumes, or rows of an array or a table."""

    data: Path  # what the user named: a folder, a table or an array
    about: pd.DataFrame  # n rows: id, group, label, split (that of the data, or missing), attributes
    files: "Sequence[Path | Slice]" = ()
    format: "Format" = field(kw_only=True)
    array: "MappedArray | None" = None
    volumes: "Volumes | None" = None
    grid: "Grid | None" = None  # of a model, on which volumes are read, with its window and mask
    surfaces: "Sequence[Surface]" = ()
    mesh: "Mesh | None" = None  # of a model, whose vertices are read
    features: pd.DataFrame | None = None  # n rows of float64, NaN where missing
    kinds: Mapping[str, Kind] = field(default_factory=dict)  # of attributes whose kind the user named
    background: str | None = None  # label, if the kind of data determines it
    grouped: bool = False  # whether the data name patients; otherwise every sample is its own group
    label_name: str = "kind"  # attribute that tells joined targets apart
    label_names: Mapping[str, str] = field(default_factory=dict)  # label in the data -> name from the user
    centre: float | None = None  # side of the central square to cut out, as a share of the width
    missing: Sequence[str] = ()  # ids of samples whose files do not exist
    unlisted: Sequence[str] = ()  # files beside the others that the table does not name
    # Numbers of files that are not read, by label ("" outside of labels) and suffix.
    passed_over: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: Sequence[TableNote] = ()  # how the table was read
    # Words for missing values in the table, by attribute.
    written: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.about)

    @property
    def attributes(self) -> pd.DataFrame:
        """Further variables of each sample, one column per attribute."""
        return self.about.drop(columns=OF_EVERY_SAMPLE)

    @property
    def described(self) -> dict[str, Any]:
        """Keyword arguments of a source: labels, groups and ids as text, and attributes."""
        names = ("label", "group", "id") if self.grouped else ("label", "id")
        columns = {f"{name}s": self.about[name].to_numpy(dtype=str) for name in names}
        return columns | {"attributes": self.attributes}

    @property
    def table_notes(self) -> list[TableNote]:
        """Notes on how the table was read, and on missing values in each column that is used."""
        notes = list(self.notes)
        for name, words in self.written.items():
            cells: Any = self.features if name == FEATURES_WRITTEN else self.about[name]
            if n := int(np.sum(cells.isna().to_numpy())):
                message = f"{name or 'features'}: {n} of {cells.size} missing, written {', '.join(words[:5])}"
                notes.append(TableNote("note", "missing-values", message))
        return notes

    def looked_for(self) -> str | None:
        """Return the absolute path of the first file that does not exist, or None."""
        first = self._first_missing()
        return None if first is None else os.path.abspath(first)  # noqa: PTH100  (links stay as they are)

    def refuse_missing(self, what: str) -> None:
        """Raise if a listed file does not exist; `what` names the files, such as "images"."""
        if self.missing:
            more = f" and {len(self.missing) - 1} more are" if len(self.missing) > 1 else " is"
            found = f"{self._first_missing()}{more} named there, but not to be found"
            remedy = f"copy the {what}, take those rows out, or name the folder that they lie in (--root)"
            raise DataError(f"{self.data}: {found}; {remedy}; looked for {self.looked_for()}")

    def _first_missing(self) -> str | None:
        """Return the path of the first file that does not exist, or None."""
        if not self.missing:
            return None
        i = self.about["id"].tolist().index(self.missing[0])
        files: Sequence[Path | Slice | Surface] = self.surfaces or self.files
        return str(files[i]) if self.volumes is None else self.volumes.name(i)

    def keep(self, mask: AnyArray) -> Self:
        """Keep the samples of a boolean mask of shape (n,)."""
        rows = np.flatnonzero(mask)
        about = self.about.iloc[rows].reset_index(drop=True)
        return replace(
            self,
            about=about,
            files=[self.files[i] for i in rows.tolist()] if len(self.files) else (),
            array=None if self.array is None else self.array.select(rows),
            volumes=None if self.volumes is None else self.volumes.select(rows),
            surfaces=[self.surfaces[i] for i in rows.tolist()] if len(self.surfaces) else (),
            features=None if self.features is None else self.features.iloc[rows].reset_index(drop=True),
            missing=sorted(set(about["id"]).intersection(self.missing)),
        )

    def limited(self, limit: int | None, limit_by: str | None = None) -> Self:
        """Keep the first `limit` samples per label, value of `limit_by` and side of a given split."""
        if limit is None:
            if limit_by is not None:
                raise DataError(f"limit_by={limit_by!r} needs limit, the number of samples of each kind")
            return self
        if limit_by is not None and limit_by not in self.attributes:
            known = ", ".join(map(str, self.attributes)) or "none"
            raise DataError(f"limit_by: wanted an attribute ({known}), got {limit_by!r}")
        side = self.about["split"].map(lambda part: side_of(part) or part)
        kind = [side, "label"] if limit_by is None else [side, "label", limit_by]
        return self.keep(self.about.groupby(kind, dropna=False).cumcount().to_numpy() < limit)

    def roles(self) -> str:
        """Format which label is the background and which are targets, with their counts."""
        counts = self.about["label"].value_counts().sort_index()
        said = {label: f"{label} ({n})" for label, n in counts.items()}
        background = said.pop(self.background, f"{self.background} (0)")
        return f"background: {background}, target{'s' * (len(said) > 1)}: {_few(said.values()) or 'none'}"

    def with_roles(self, background: Any = None, targets: Sequence[Any] = ()) -> Self:
        """
        Keep the background and the named targets, joined to one, with an attribute of their original labels.

        Without named targets, all labels but the background are targets of their own.

        "2=control" takes label 2 and names it control. The default background is that of the data, else a
        word for controls (HC, normal, ..), else the first label in sorted order; numbers and booleans raise.
        """
        labels, asked = self.about["label"], [background, *targets]
        if any(isinstance(text, str) and "=" in text for text in set(asked).difference(labels)):
            renamed, (background, *targets) = self._renamed(asked)
            return renamed.with_roles(background, targets)
        background = self.background if background is None else background
        targets = list(dict.fromkeys(targets))
        counts = labels.value_counts().sort_index()
        for label in [background, *targets]:
            if label is not None and label not in counts:
                role = "target" if label in targets else "background"
                known = map(repr if str(label) in counts else str, counts.index)
                raise DataError(f"{role}: wanted one of {_few(known)}, got {label!r} ({self.data})")
        if len(counts) < 2:
            found = f"wanted two labels, background and target, found {_few(counts.index) or 'none'}"
            raise DataError(f"{self.data}: {found}; name another column of labels, or give samples of both")
        unnamed = background is None and guess_background(counts.index).why != "word"
        if not targets and (len(counts) > MAX_LEVELS or (len(counts) > 2 and unnamed)):
            found = f"{len(counts)} labels, {_few([f'{label} ({n})' for label, n in counts.items()])}"
            remedy = "name --background, and --target unless all others are targets"
            raise DataError(f"{self.data}: {found}; {remedy}")
        first = self._guess(counts, targets) if background is None else background
        if first in targets:
            raise DataError(f"target: {first!r} is the background; name another")
        if not targets:
            return replace(self, background=first)
        kept = replace(self, background=first).keep(labels.isin([first, *targets]).to_numpy())
        if len(targets) == 1:
            return kept
        label, is_target = kept.about["label"], kept.about["label"].isin(targets)
        about = kept.about.assign(label=label.mask(is_target, " + ".join(targets)))
        name = f"{self.label_name}_given" if self.label_name in [*about, "y"] else self.label_name
        return replace(kept, about=about.assign(**{name: label.where(is_target)}))

    def severity_problem(self, name: str) -> str:
        """Return why an attribute cannot be the severity of the targets; empty if it can."""
        labels = self.about["label"]
        if len(targets := sorted(set(labels) - {self.background})) > 1:
            named = " ".join(f"--target {target}" for target in targets)
            return f"wanted one target, got {joined(targets)}; join them: {named}"
        about = (self.about[name].to_numpy(float), (labels != self.background).to_numpy())
        return severity_problem(*about, self.about["id"].to_numpy(), name)

    def without_severity_of_background(self, name: str) -> Self:
        """Make severities of 0 of the background missing, so that scores of the severity are of targets."""
        values, is_background = self.about[name], self.about["label"] == self.background
        return replace(self, about=self.about.assign(**{name: values.mask(is_background & (values == 0))}))

    def _guess(self, counts: "pd.Series[int]", targets: Sequence[Any]) -> Any:
        """Return the default background: the only label that is not a target, or a guess."""
        others = counts.drop(targets)
        if len(others) == 1 and targets:
            return others.index[0]
        if not len(others):
            raise DataError(f"target: {targets[0]!r} and all others are targets; name --background")
        guess = guess_background(others.index)
        if guess.why == "number":
            named = {str(label): int(n) for label, n in others.items()}
            raise DataError(f"{self.data}: {ask_for_background(named, '--background ')}")
        return guess.background

    def named(self, names: Mapping[str, str]) -> Self:
        """Rename labels; ignore labels that are not in the data."""
        if not names:
            return self
        about = self.about.assign(label=self.about["label"].replace(dict(names)))
        return replace(self, about=about, label_names={**self.label_names, **names})

    def _renamed(self, given: Sequence[Any]) -> tuple[Self, list[Any]]:
        """Rename labels as in "2=control"; return also the new names."""
        there = set(self.about["label"])
        names: dict[str, str] = {}
        called: list[Any] = list(given)
        for i, text in enumerate(given):
            raw, equals, name = (part.strip() for part in str(text).partition("="))
            if text is None or text in there or not equals:
                continue
            if raw not in there or not name:
                wanted = f"LABEL=NAME with one of {_few(sorted(map(str, there)))}"
                raise DataError(f"label: wanted {wanted}, got {text!r} ({self.data})")
            if (name in there and name != raw) or names.get(raw, name) != name:
                raise DataError(f"label: {name!r} in {text!r} is taken; name another ({self.data})")
            names[raw] = called[i] = name
        if called[0] is not None and called[0] in called[1:]:
            raise DataError(f"label: {called[0]!r} is the name of background and target; name another")
        return self.named(names), called


def _few(names: Iterable[str]) -> str:
    """Format the first ten names, since a column such as age may have hundreds."""
    return listed(list(names), 10)
