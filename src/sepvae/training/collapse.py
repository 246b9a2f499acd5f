"""Detection of collapsed spaces and of a useless critic from the metrics of each epoch."""

import math
from collections.abc import Mapping, Sequence

from sepvae.losses import CHANCE, MARGIN

EPOCHS = 5  # consecutive epochs that must agree
EPOCHS_OF_CRITIC = 20  # minimum, none better than chance: the critic learns along with the codes
NOTHING = 0.01  # nats of a whole space: below it, its posterior is almost the prior
CURVE = "its loss (train_critic_loss in metrics.csv)"
PERFECT = 0.02  # nats: below it, the critic is never wrong


def collapses(history: Sequence[Mapping[str, float]], weights: Mapping[str, float]) -> dict[str, str]:
    """
    Return a message by name for each of "common", "salient" and "critic" that has collapsed.

    `history` has the names of `metrics.csv`. Terms with weight zero are ignored.

    >>> epoch = {"train_common_kl": 0.001, "train_salient_kl_target": 3.0}
    >>> list(collapses([epoch] * 5, {"common_kl": 1.0, "salient_kl_target": 1.0}))
    ['common']
    """
    last = history[-EPOCHS:]
    if len(last) < EPOCHS:
        return {}
    found = {}
    for space, term in (("common", "common_kl"), ("salient", "salient_kl_target")):
        most = max(epoch.get(f"train_{term}", math.inf) for epoch in last)
        if most < NOTHING and weights.get(term):
            found[space] = (
                f"the {space} space holds next to nothing: {term} was below {NOTHING:g} nats in epochs "
                f"{_epochs(history)}; lower beta_{space}, or train longer"
            )
    if weights.get("mutual_information"):
        losses = [epoch.get("train_critic_loss", math.nan) for epoch in history]
        if len(losses) >= EPOCHS_OF_CRITIC and min(losses) > CHANCE - MARGIN:
            found["critic"] = (
                f"the critic is at chance: {CURVE} was above {CHANCE - MARGIN:.3f} in all "
                f"{len(losses)} epochs, so that the mutual information kept nothing apart; train longer "
                "(max_epochs)"
            )
        elif max(losses[-EPOCHS:]) < PERFECT:
            found["critic"] = (
                f"the critic is never wrong: {CURVE} was below {PERFECT:g} in epochs {_epochs(history)}, "
                "and what it estimates is not the mutual information; raise kappa"
            )
    return found


def _epochs(history: Sequence[Mapping[str, float]]) -> str:
    return f"{len(history) - EPOCHS} to {len(history) - 1}"
