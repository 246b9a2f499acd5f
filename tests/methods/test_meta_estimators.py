"""Estimators of scikit-learn that fit others."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict

from sepvae import SepVAE
from sepvae.errors import DataError

QUICK = {"common_dim": 2, "salient_dim": 1, "max_epochs": 1, "progress_bar": False, "accelerator": "cpu"}
RNG = np.random.default_rng(0)
Y = np.array(["autism", "HC"] * 30)
X = RNG.normal(size=(60, 4)) + 3 * (Y == "autism")[:, None]


def model(background):
    return SepVAE(**QUICK, background=background)


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
