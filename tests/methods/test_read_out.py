"""`predict` reads salient means, whatever the classifier that is fed sampled codes has learnt."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from sepvae import ConVAE, MMcVAE, SepVAE

from ..helpers import quick

X, is_benign = load_breast_cancer(return_X_y=True)
Y = np.where(is_benign == 1, "benign", "malignant")
TRAIN, TEST = train_test_split(np.arange(len(Y)), test_size=0.25, stratify=Y, random_state=0)


OTHERS = [pytest.param(method, marks=pytest.mark.slow) for method in (ConVAE, MMcVAE)]


@pytest.mark.slow
@pytest.mark.parametrize("method", [SepVAE, *OTHERS])
def test_held_out_diagnoses_of_breast_cancer_are_predicted(method: type[SepVAE]) -> None:
    keywords = quick(common_dim=4, max_epochs=30, batch_size=64)
    model = method(background="benign", **keywords).fit(X[TRAIN], Y[TRAIN])
    is_malignant = Y[TEST] == "malignant"
    assert roc_auc_score(is_malignant, model.predict_proba(X[TEST])[:, 1]) > 0.95
    assert np.mean(model.predict(X[TEST]) == Y[TEST]) > 0.85
    # On sampled codes the background is told by its noise, and not by where its means are.
    sampled = model.sampled_classifier_proba(X[TEST])
    assert sampled.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert np.abs(sampled - model.predict_proba(X[TEST])).max() > 0.01
