"""`Capabilities`: what other rooms ask of a method, in the way of scikit-learn's tags."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """What a method can do, beyond encoding: the class attribute `capabilities`."""

    decoder: bool = True  # decodes codes: reconstructions, swaps, samples, maps
    epochs: bool = False  # trains by epochs, with the keywords of `ContrastiveVAE`, and has a `history_`
    critic: bool = False  # trains a critic of the mutual information of c and s
    several_targets: bool = False  # takes more than one target label
