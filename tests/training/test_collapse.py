import numpy as np
import pytest

from sepvae.errors import CollapseWarning
from sepvae.methods import SepVAE
from sepvae.training.callbacks import collapses

from ..helpers import quick

WEIGHTS = {"common_kl": 1.0, "salient_kl_target": 1.0, "mutual_information": 1.0}
SOUND = {"train_common_kl": 5.0, "train_salient_kl_target": 2.0, "train_critic_loss": 1.2}


def epochs(n, **others):
    return [SOUND | {f"train_{name}": value for name, value in others.items()}] * n


def test_nothing_is_said_of_a_sound_fit_nor_of_a_short_one():
    assert collapses(epochs(30), WEIGHTS) == {}
    assert collapses(epochs(4, common_kl=0.0), WEIGHTS) == {}


@pytest.mark.parametrize(
    ("what", "value", "named"),
    [("common_kl", 0.005, "common"), ("salient_kl_target", 0.0, "salient"), ("critic_loss", 0.001, "critic")],
)
def test_what_says_nothing_for_five_epochs_is_named(what, value, named):
    history = epochs(3) + epochs(5, **{what: value})
    (message,) = collapses(history, WEIGHTS).values()
    assert list(collapses(history, WEIGHTS)) == [named]
    assert "in epochs 3 to 7" in message
    assert collapses(history[:-1], WEIGHTS) == {}


def test_a_critic_that_was_never_better_than_chance_is_named():
    history = epochs(20, critic_loss=2 * np.log(2))
    assert "at chance" in collapses(history, WEIGHTS)["critic"]
    assert collapses(history[:19], WEIGHTS) == {}
    assert collapses(epochs(1) + history, WEIGHTS) == {}


def test_what_has_no_weight_is_not_warned_of():
    history = epochs(20, common_kl=0, salient_kl_target=0, critic_loss=2)
    assert collapses(history, dict.fromkeys(WEIGHTS, 0.0)) == {}


def test_training_warns_once():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), np.repeat([0, 1], 20)
    model = SepVAE(**quick(beta_common=1e4, max_epochs=30, batch_size=20))
    with pytest.warns(CollapseWarning, match="common space holds next to nothing") as caught:
        model.fit(X, y)
    assert sum("common space" in str(warning.message) for warning in caught) == 1
