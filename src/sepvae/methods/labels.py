"""Encoders of labels: y is 0 for the background, 1, 2, .. for targets, or a severity between 0 and 1."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import RegressorTags, Tags

from sepvae.batch import AnyArray, FloatArray, IntArray
from sepvae.checks import check_number, joined, order_labels, severity_problem
from sepvae.errors import DataError
from sepvae.losses.vae import SeverityPrior


class GroupLabels:
    """
    Labels of groups: `classes` are sorted, and `order` holds the positions of background and targets in them.

    >>> GroupLabels("well").fit_transform(np.array(["ill", "well", "ill"]))
    array([1, 0, 1])
    """

    classes: AnyArray
    order: IntArray
    owners: tuple[int, ...] | None = None  # target of each salient dimension, 0: shared; None: one space
    severity_max: float | None = None  # of the attribute that y is a share of

    def __init__(self, background: Any = None) -> None:
        self.background = background

    @property
    def blocks(self) -> dict[str, slice]:
        """Dimensions of each block of the salient space by name; empty for one space."""
        if self.owners is None:
            return {}
        names = ["salient, shared", *(f"salient of {label}" for label in self.classes[self.order[1:]])]
        starts = np.searchsorted(self.owners, np.arange(len(names) + 1)).tolist()
        parts = {name: slice(*part) for name, part in zip(names, pairwise(starts), strict=True)}
        return {name: part for name, part in parts.items() if part.start < part.stop}

    def fit_transform(self, labels: AnyArray, attributes: pd.DataFrame | None = None) -> AnyArray:
        """Learn which label is the background, and return y of all samples."""
        self.classes, self.order = order_labels(labels, self.background)
        return self.transform(labels)

    def restore(self, classes: AnyArray, order: IntArray, severity_max: float | None = None) -> Self:
        """Restore fitted labels from a model file."""
        self.classes, self.order, self.severity_max = classes, order, severity_max
        return self

    def transform(self, labels: AnyArray, attributes: pd.DataFrame | None = None) -> AnyArray:
        """Return y of labels, of which a batch may hold only one."""
        y: AnyArray = pd.Index(self.classes[self.order]).get_indexer(pd.Index(labels))
        if unknown := sorted(map(str, labels[y < 0])):
            fitted = ", ".join(map(str, self.classes[self.order]))
            raise DataError(f"y: wanted labels that were fitted ({fitted}), got {unknown[0]}")
        return y.astype(np.int64)

    def check_counts(self, y: AnyArray) -> None:
        """Raise DataError unless each group has two samples or more."""
        counts = np.bincount(np.ceil(y).astype(np.int64), minlength=len(self.order))
        if counts.min() < 2:
            rarest = "one" if y.dtype.kind == "f" else self.classes[self.order[counts.argmin()]]
            raise DataError(f"labels: wanted two samples or more of each, got {counts.min()} of {rarest}")

    def predict(self, probabilities: AnyArray) -> AnyArray:
        """Return the most probable label; columns are in the order of `classes`."""
        return np.asarray(self.classes[probabilities.argmax(axis=1)])

    def score(self, y: AnyArray, predicted: AnyArray, sample_weight: Any) -> float:
        """Return the accuracy."""
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def group(self, y: float | str) -> float:
        """Return the number of the group that `y` names by its number or its label."""
        labels = self.classes[self.order].tolist()
        numbers = range(len(labels))
        if isinstance(y, str):
            if y not in labels:
                names = (name for name in labels if isinstance(name, str))
                raise DataError(f"y: wanted {' or '.join(map(repr, [*numbers, *names]))}, got {y!r}")
            y = labels.index(y)
        if np.ndim(y) > 0 or y not in numbers:
            targets = "1 for target" if len(labels) == 2 else f"1 to {numbers[-1]} for a target"
            raise DataError(f"y: wanted 0 for background or {targets}, got {y!r}")
        return float(y)

    def salient_std(self, y: float | str) -> float | FloatArray:
        """Return the standard deviation around s' = 0 of salient codes that the decoder gets for label y."""
        return float(self.group(y) != 0)

    def gate_salient(self, salient: AnyArray, probabilities: Callable[[AnyArray], AnyArray]) -> AnyArray:
        """Return the salient codes that the decoder gets for samples whose labels are not known."""
        return salient

    def set_tags(self, tags: Tags) -> Tags:
        """Return scikit-learn's tags of an estimator that predicts these labels."""
        return tags


class BlockLabels(GroupLabels):
    """Labels of several targets which share some salient dimensions, and have an equal block each."""

    def __init__(self, background: Any, salient_dim: int, shared_dim: int) -> None:
        super().__init__(background)
        self.salient_dim, self.shared_dim = salient_dim, shared_dim

    def fit_transform(self, labels: AnyArray, attributes: pd.DataFrame | None = None) -> AnyArray:
        """Divide the salient dimensions among the targets, and return y of all samples."""
        y = super().fit_transform(labels)
        self._divide()
        return y

    def restore(self, classes: AnyArray, order: IntArray, severity_max: float | None = None) -> Self:
        """Restore fitted labels from a model file."""
        super().restore(classes, order, severity_max)
        self._divide()
        return self

    def salient_std(self, y: float | str) -> FloatArray:
        """Return the standard deviation of each salient dimension: 1 where it is free for label y, else 0."""
        group, owners = self.group(y), np.array(self.owners)
        return np.asarray((group != 0) & ((owners == 0) | (owners == group)), dtype=float)

    def _divide(self) -> None:
        """Set the owner of each dimension; raise DataError unless each target gets as many as the others."""
        targets, own = len(self.classes) - 1, self.salient_dim - self.shared_dim
        if targets == 1:
            label = self.classes[self.order[1]]
            raise DataError(
                f"shared_dim: got {self.shared_dim} with one target ({label}), expected several; take None"
            )
        if own < targets or own % targets:
            least = targets * max(1, -(-own // targets))
            raise DataError(
                f"shared_dim: got {self.shared_dim} of {self.salient_dim} salient dimensions, expected the "
                f"other {own} to divide equally among {targets} targets; take "
                f"salient_dim={self.shared_dim + least}"
            )
        self.owners = (0,) * self.shared_dim + tuple(1 + k // (own // targets) for k in range(own))


class SeverityLabels(GroupLabels):
    """Severities in [0, 1], 0 for the background (App. B)."""

    def __init__(self, background: Any, prior: SeverityPrior) -> None:
        super().__init__(background)
        self.prior = prior

    def fit_transform(self, labels: AnyArray, attributes: pd.DataFrame | None = None) -> AnyArray:
        """Check the severities, and return them as float32."""
        if self.background is not None:
            raise DataError(f"background: wanted None, for severities have it at 0, got {self.background!r}")
        numbers = isinstance(labels[0], int | float | np.number)
        if not numbers or np.min(labels) != 0 or np.max(labels) > 1 or np.max(labels) == 0:
            got = f"{np.min(labels)} to {np.max(labels)}" if numbers else repr(labels[:1].tolist()[0])
            raise DataError(
                "labels: with target='severity' wanted numbers in [0, 1], with 0 for the background and some "
                f"above; got {got}"
            )
        self.classes, self.order = np.array([0.0, 1.0]), np.arange(2)
        return self.transform(labels)

    def transform(self, labels: AnyArray, attributes: pd.DataFrame | None = None) -> AnyArray:
        """Return severities as float32, of which a batch may hold any."""
        try:
            severities = np.asarray(labels, dtype=np.float32)
        except (TypeError, ValueError):  # words
            severities = np.full(len(labels), np.nan, dtype=np.float32)
        if (bad := np.flatnonzero(~((severities >= 0) & (severities <= 1)))).size:
            raise DataError(f"y: wanted severities in [0, 1], got {labels[bad[0]]}")
        return severities

    def predict(self, probabilities: AnyArray) -> AnyArray:
        """Return the expected severity."""
        return np.asarray(probabilities[:, self.order[1]])

    def score(self, y: AnyArray, predicted: AnyArray, sample_weight: Any) -> float:
        """Return R2."""
        return float(r2_score(y, predicted, sample_weight=sample_weight))

    def salient_std(self, y: float | str) -> float | FloatArray:
        """Return the standard deviation of y s, for s from the prior of severity y."""
        if isinstance(y, str):
            return super().salient_std(y)
        check_number("y", y, least=0)
        if y > 1:
            raise DataError(f"y: wanted a severity in [0, 1], got {y!r}")
        severity = torch.tensor([y], dtype=torch.float64)
        return float(self.prior.salient_gate(severity) * self.prior.variance(severity).sqrt())

    def gate_salient(self, salient: AnyArray, probabilities: Callable[[AnyArray], AnyArray]) -> AnyArray:
        """Gate by the expected severity, since the true one is not known."""
        return salient * probabilities(salient)[:, 1:]

    def set_tags(self, tags: Tags) -> Tags:
        """Return the tags of a regressor."""
        tags.estimator_type, tags.classifier_tags = "regressor", None
        tags.regressor_tags = RegressorTags()
        return tags


class SeverityOfTargets(SeverityLabels):
    """Labels of background and one target, with the severity of each target in an attribute."""

    def __init__(self, background: Any, prior: SeverityPrior, attribute: str) -> None:
        super().__init__(background, prior)
        self.attribute = attribute

    def fit_transform(self, labels: AnyArray, attributes: pd.DataFrame | None = None) -> AnyArray:
        """Learn the background and the maximum among targets, and return y: 0, or the share of it."""
        classes, order = order_labels(labels, self.background)
        if len(classes) > 2:
            raise DataError(f"severity: wanted one target, got {joined(classes[order[1:]].tolist())}")
        is_target, severities = labels != classes[order[0]], self._severities(attributes)
        if problem := severity_problem(severities, is_target, np.arange(len(labels)), self.attribute):
            raise DataError(f"severity: {problem}")
        self.restore(classes, order, float(severities[is_target].max()))
        return self.transform(labels, attributes)

    def restore(self, classes: AnyArray, order: IntArray, severity_max: float | None = None) -> Self:
        """Restore fitted labels, which have a maximum."""
        if severity_max is None or len(classes) != 2:
            raise DataError("severity_max: wanted that of two classes")
        return super().restore(classes, order, severity_max)

    def transform(self, labels: AnyArray, attributes: pd.DataFrame | None = None) -> AnyArray:
        """Return severities in [0, 1] as float32."""
        group = GroupLabels.transform(self, labels)
        return super().transform(np.where(group == 0, 0.0, self._severities(attributes) / self.severity_max))

    def predict(self, probabilities: AnyArray) -> AnyArray:
        """Return the expected severity, in the units of the attribute."""
        return super().predict(probabilities) * self.severity_max

    def _severities(self, attributes: pd.DataFrame | None) -> AnyArray:
        if attributes is None or self.attribute not in attributes:
            known = ", ".join(map(str, () if attributes is None else attributes)) or "no attributes"
            raise DataError(f"severity: wanted a source with attribute {self.attribute!r}, got {known}")
        try:
            return attributes[self.attribute].to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise DataError(f"severity: wanted numbers in {self.attribute!r} ({error})") from None


def severity_labels(background: Any, prior: SeverityPrior, attribute: str | None) -> SeverityLabels:
    """Return the encoder of severities which are the labels, or an attribute of targets."""
    if attribute is None:
        return SeverityLabels(background, prior)
    return SeverityOfTargets(background, prior, attribute)
