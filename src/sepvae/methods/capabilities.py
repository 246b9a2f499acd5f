"""`Capabilities`: what other rooms ask of a method, in the way of scikit-learn's tags."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """What a method can do, beyond encoding: the class attribute `capabilities`."""

    decoder: bool = True  # decodes codes: reconstructions, removal, swaps, maps
    epochs: bool = False  # trains by epochs, with the keywords of `ContrastiveVAE`, and has a `history_`
    classifier: bool = False  # its loss has a classifier of salient codes, which a benchmark scores
