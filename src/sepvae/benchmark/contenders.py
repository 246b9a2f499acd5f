"""Contenders of a benchmark: a method with a preset, optionally without one of its loss terms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sepvae.checks import check_choice
from sepvae.errors import DataError
from sepvae.methods.base import ContrastiveEstimator
from sepvae.registry import find_method, method_names


@dataclass(frozen=True)
class Contender:
    """
    Method with its keywords, as a benchmark compares it with others.

    Parameters
    ----------
    method : str
        Name of a registered method.
    preset : str
        Named set of keywords of the method.
    ablation : str, default=""
        Loss term to leave out, as named in the method's `ablations`; "" for none.
    keywords : mapping, default={}
        Keywords from a recipe or the user, which override the preset's.
    """

    method: str
    preset: str = "default"
    ablation: str = ""
    keywords: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """
        Name of the contender in tables.

        Returns
        -------
        str
            Name such as "SepVAE (paper, no MI)".
        """
        return f"{self.method} ({self.preset}{', ' * bool(self.ablation)}{self.ablation})"

    def estimator(self, random_state: int) -> ContrastiveEstimator:
        """
        Create the estimator of one cell.

        Parameters
        ----------
        random_state : int
            Seed of the estimator.

        Returns
        -------
        ContrastiveEstimator
            Estimator that is not fitted. It learns from all training data: no validation part is set aside,
            unless a keyword sets one.

        Raises
        ------
        DataError
            If the preset does not exist and no keywords are given, or the network is not given by name.
        """
        method = find_method(self.method)
        if self.preset not in method.presets and not self.keywords:
            presets = ", ".join(method.presets)
            raise DataError(
                f"{self.name}: wanted a preset of {self.method} ({presets}), or a recipe's keywords"
            )
        if isinstance(self.keywords.get("network"), tuple):
            raise DataError(f"{self.name}: a benchmark takes networks by their names, not modules")
        # Cells share the cores, so none starts worker processes to read data.
        quiet = {"progress_bar": False, "validation_fraction": 0.0, "num_workers": 0}
        keywords: dict[str, Any] = quiet if method.capabilities.epochs else {}
        keywords |= method.presets.get(self.preset, {}) | dict(self.keywords)
        if self.ablation:
            keywords |= method.ablations[self.ablation]
        return method(**keywords | {"random_state": random_state})


def parse_contender(text: str) -> Contender:
    """
    Parse METHOD, METHOD:PRESET or METHOD:PRESET:ABLATION.

    Parameters
    ----------
    text : str
        Contender as given on the command line.

    Returns
    -------
    Contender
        Contender without the keywords of a recipe.

    Raises
    ------
    DataError
        If the method or the ablation does not exist.

    Examples
    --------
    >>> parse_contender("SepVAE:paper:no MI").name
    'SepVAE (paper, no MI)'
    """
    method, _, rest = text.partition(":")
    preset, _, ablation = rest.partition(":")
    check_choice("method", method, method_names())
    known = find_method(method).ablations
    if ablation and ablation not in known:
        there = ", ".join(known) or "none"
        raise DataError(f"{text}: {method} has no ablation {ablation!r}; there are {there}")
    return Contender(method, preset or "default", ablation)
