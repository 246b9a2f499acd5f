"""What a benchmark compares: a method with a preset, or with one of its terms left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sepvae import methods
from sepvae.checks import check_choice
from sepvae.errors import DataError
from sepvae.methods._estimator import ContrastiveEstimator


@dataclass(frozen=True)
class Contender:  # numpydoc ignore=PR02
    """
    One row of a comparison.

    Parameters
    ----------
    method : str
        Name of a class of `sepvae.methods`.
    preset : str
        Which of its named sets of keywords.
    ablation : str, default=""
        Which of its terms to leave out; "" for none.
    keywords : mapping, default={}
        Others than the preset's: a recipe's, and what a user sets.
    """

    method: str
    preset: str = "default"
    ablation: str = ""
    keywords: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """
        What tables and folders call it.

        Returns
        -------
        str
            Such as "SepVAE (paper, no MI)".
        """
        return f"{self.method} ({self.preset}{', ' * bool(self.ablation)}{self.ablation})"

    def estimator(self, random_state: int) -> ContrastiveEstimator:
        """
        Make the estimator of one cell.

        Parameters
        ----------
        random_state : int
            Its seed.

        Returns
        -------
        ContrastiveEstimator
            Not fitted. All training data are learnt from: nothing is chosen by a validation part, unless a
            keyword says so.

        Raises
        ------
        DataError
            If there is no such preset, or the network is not named.
        """
        method = getattr(methods, self.method)
        if self.preset not in method.presets and not self.keywords:
            presets = ", ".join(method.presets)
            raise DataError(
                f"{self.name}: wanted a preset of {self.method} ({presets}), or a recipe's keywords"
            )
        if isinstance(self.keywords.get("network"), tuple):
            raise DataError(f"{self.name}: a benchmark takes networks by their names, not modules")
        taken = method().get_params()
        # Cells share the cores: none has readers of its own.
        quiet = {"progress_bar": False, "validation_fraction": 0.0, "num_workers": 0}
        keywords = {name: value for name, value in quiet.items() if name in taken}
        keywords |= method.presets.get(self.preset, {}) | dict(self.keywords)
        if self.ablation:
            keywords |= method.ablations[self.ablation]
        estimator: ContrastiveEstimator = method(**keywords | {"random_state": random_state})
        return estimator


def parse_contender(text: str) -> Contender:
    """
    Read METHOD, METHOD:PRESET or METHOD:PRESET:ABLATION.

    Parameters
    ----------
    text : str
        As on the command line.

    Returns
    -------
    Contender
        Without keywords of a recipe.

    Raises
    ------
    DataError
        If there is no such method or ablation.

    Examples
    --------
    >>> parse_contender("SepVAE:paper:no MI").name
    'SepVAE (paper, no MI)'
    """
    method, _, rest = text.partition(":")
    preset, _, ablation = rest.partition(":")
    check_choice("method", method, methods.METHODS)
    known = getattr(getattr(methods, method), "ablations", {})
    if ablation and ablation not in known:
        there = ", ".join(known) or "none"
        raise DataError(f"{text}: {method} has no ablation {ablation!r}; there are {there}")
    return Contender(method, preset or "default", ablation)
