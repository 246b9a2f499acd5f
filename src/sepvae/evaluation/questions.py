"""Questions that probes answer: an attribute of a population, with its training and test rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from sepvae.codes import Kind
from sepvae.evaluation.probes import known_values

MIN_TRAIN = 10  # a probe needs at least this number of training samples
MAX_CLASSES = 100  # attributes with more classes are taken for names


@dataclass(frozen=True)
class ProbeQuestion:
    """Attribute of one population, with its training and test rows; column `value` holds the attribute."""

    attribute: str
    population: str
    kind: Kind
    train: pd.DataFrame
    test: pd.DataFrame
    rare: str = ""  # classes that are left out, and the reason

    @property
    def obstacle(self) -> str:
        """Reason why no score is possible; empty if one is."""
        if not self.unlearnable and self.test["value"].nunique() < 2:
            return "no probe: fewer than two distinct values in split 'test'"
        return self.unlearnable

    @property
    def unlearnable(self) -> str:
        """Reason why no probe can be fitted; empty if one can."""
        if len(self.train) < MIN_TRAIN:
            return f"no probe: {len(self.train)} training samples, at least {MIN_TRAIN} are needed"
        classes = self.train["value"].nunique()
        if self.kind == "categorical" and classes > MAX_CLASSES:
            return f"no probe: {classes} classes, at most {MAX_CLASSES} are probed"
        if self.train["value"].nunique() < 2:
            return "no probe: fewer than two distinct values in split 'train'"
        return ""


def probe_questions(table: pd.DataFrame, kinds: Mapping[str, Kind] | None) -> Iterator[ProbeQuestion]:
    """Yield the label among all, then each attribute among all (unless only targets have it) and targets."""
    for attribute, kind, known in known_values(table, kinds):
        if attribute == "label" or (known["y"] == 0).any():
            yield _question(known, attribute, "all", kind)
        if attribute != "label":
            yield _question(known[known["y"] == 1], attribute, "target", kind)


def _question(known: pd.DataFrame, attribute: str, population: str, kind: Kind) -> ProbeQuestion:
    rare = ""
    if kind == "categorical":
        counts = known.loc[known["split"] == "train", "value"].value_counts()
        kept = known["value"].isin(counts.index[counts >= 2])
        names = sorted(known.loc[~kept, "value"].unique())
        if names:
            some = ", ".join(map(str, names[:5])) + (", .." if len(names) > 5 else "")
            rare = f"{len(names)} classes left out, fewer than 2 training samples each: {some}"
        known = known[kept]
    train, test = (known[known["split"] == split] for split in ("train", "test"))
    return ProbeQuestion(attribute, population, kind, train, test, rare)
