"""What scikit-learn asks of an estimator, and its estimators that fit others."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from sepvae import ConVAE, MMcVAE, SepVAE
from sepvae.errors import DataError

from ..helpers import quick

RNG = np.random.default_rng(0)
Y = np.array(["autism", "HC"] * 30)
X = RNG.normal(size=(60, 4)) + 3 * (Y == "autism")[:, None]

# One of the checks asks for an accuracy of three classes, so: small batches, large steps.
OURS = SepVAE(**quick(max_epochs=20, batch_size=16, learning_rate=2e-2), gamma=10)
OTHERS = ConVAE(**quick()), MMcVAE(**quick())
DESERVED = pytest.mark.filterwarnings("ignore")  # the checks feed data that deserves warnings


def of_accuracy(check: Any) -> bool:
    """Whether a check needs a fit that learns something."""
    return bool(check.func.__name__ == "check_classifiers_train")


OWN_CHECKS = [
    pytest.param(
        *case,
        id="-".join([case[1].func.__name__, *map(str, case[1].keywords.values())]),
        marks=[pytest.mark.slow] * of_accuracy(case[1]),
    )
    for case in estimator_checks_generator(OURS, mark=None)
    if not of_accuracy(case[1]) or case[1].keywords.keys() != {"readonly_memmap"}  # the next has it, too
]


@pytest.mark.parametrize(("estimator", "check"), OWN_CHECKS)
@DESERVED
def test_every_check(estimator: Any, check: Any) -> None:
    check(estimator if of_accuracy(check) else clone(estimator).set_params(max_epochs=1))


@pytest.mark.slow
@parametrize_with_checks([*OTHERS])
@DESERVED
def test_every_check_of_the_other_methods(estimator: Any, check: Any) -> None:
    if of_accuracy(check):
        pytest.skip(
            "takes 20 s; what a method learns is asked in tests of its own, arrays are read as by SepVAE"
        )
    test_every_check(estimator, check)


def model(background):
    return SepVAE(**quick(), background=background)


def ensemble(kind, background):
    return kind([("sepvae", model(background)), ("linear", LogisticRegression())])


@pytest.mark.parametrize(
    "fit",
    [
        lambda background, y: cross_val_predict(model(background), X, y, cv=2, method="predict_proba"),
        lambda background, y: (
            ensemble(StackingClassifier, background).set_params(cv=2).fit(X, y).predict_proba(X)
        ),
        lambda background, y: (
            ensemble(VotingClassifier, background).set_params(voting="soft").fit(X, y).predict_proba(X)
        ),
    ],
    ids=["cross_val_predict", "StackingClassifier", "VotingClassifier"],
)
def test_those_that_number_labels_say_why_and_take_numbers(fit):
    with pytest.raises(DataError, match="number them yourself, 0 for the background, and give background=0"):
        fit("HC", Y)
    probabilities = fit(0, (Y == "autism").astype(int))
    assert probabilities.shape == (60, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_those_that_pass_labels_on_take_words():
    calibrated = CalibratedClassifierCV(model("HC"), cv=2).fit(X, Y)
    assert calibrated.predict_proba(X).shape == (60, 2)
    search = GridSearchCV(model("HC"), {"salient_dim": [1, 2]}, cv=2, scoring="roc_auc").fit(X, Y)
    assert 0 <= search.best_score_ <= 1
