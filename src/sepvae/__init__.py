"""
Contrastive analysis for medical imaging: separate variation that patients share with controls from their own.

`SepVAE`, `ConVAE`, `MMcVAE`, `CLVM`, `RbVAE`, `DoubleInfoGAN`, `SepCLR`, `ContrastivePCA` and
`ProbabilisticContrastivePCA` are scikit-learn estimators that learn a common and a salient code of every
image or table row; `load` reads a saved one. `sepvae.data` reads images and tables, `sepvae.datasets` fetches
open data sets; `fit_folder` goes from data to a run folder, as `sepvae fit` does; `sepvae.evaluation` scores
codes of any program.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sepvae import data, datasets, evaluation, plotting
    from sepvae.methods import (
        CLVM,
        ContrastivePCA,
        ConVAE,
        DoubleInfoGAN,
        MMcVAE,
        ProbabilisticContrastivePCA,
        RbVAE,
        SepCLR,
        SepVAE,
        load,
    )
    from sepvae.runs import fit_folder

__version__ = "0.1.0"
__all__ = [
    "CLVM",
    "ConVAE",
    "ContrastivePCA",
    "DoubleInfoGAN",
    "MMcVAE",
    "ProbabilisticContrastivePCA",
    "RbVAE",
    "SepCLR",
    "SepVAE",
    "__version__",
    "data",
    "datasets",
    "evaluation",
    "fit_folder",
    "load",
    "plotting",
]
_ROOMS = ("data", "datasets", "evaluation", "plotting")


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that `import sepvae` does not wait for torch."""
    if name in _ROOMS:
        return import_module(f"sepvae.{name}")
    if name in __all__:
        room = "sepvae.runs" if name == "fit_folder" else "sepvae.methods"
        return getattr(import_module(room), name)
    raise AttributeError(f"module 'sepvae' has no attribute {name!r}")
