"""Prediction of labels or severities from salient codes."""

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from sepvae.batch import AnyArray
from sepvae.losses.classifiers import group_logits
from sepvae.methods.inference import as_numpy


class PredictionMixin(ClassifierMixin):  # type: ignore[misc]
    """What an estimator predicts by its read-out, the classifier of salient means."""

    def predict_proba(self, X: Any) -> AnyArray:
        """
        Return the probability of each label, read from the salient means.

        The read-out is a separate small classifier, trained on detached means of the training part; it does
        not affect the other networks. Models saved before it existed use the salient classifier instead.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, 2)
            Columns in the order of `classes_`.
        """
        return self._probabilities(self.encode(X).salient_mean)[:, np.argsort(self._labels.order)]

    def sampled_classifier_proba(self, X: Any) -> AnyArray:
        """
        Return the probability of each label by the salient classifier, evaluated on salient means.

        The paper scores this classifier (App. D), which learns from sampled codes. It may have learnt the
        width of the noise, which differs between the groups in training and is absent from means: prefer
        `predict_proba`.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, 2)
            Columns in the order of `classes_`.
        """
        salient = self.encode(X).salient_mean
        return self._probabilities(salient, sampled=True)[:, np.argsort(self._labels.order)]

    def predict(self, X: Any) -> AnyArray:
        """
        Return the more probable label by `predict_proba`; for severities, the expected severity.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.

        Returns
        -------
        ndarray of shape (n,)
            Labels, or severities.
        """
        probabilities = self.predict_proba(X)
        labels: AnyArray = self._labels.predict(probabilities)
        return labels

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """
        Return the accuracy of `predict`; for severities, its R2.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.
        y : array-like of shape (n,)
            Labels, or severities.
        sample_weight : array-like of shape (n,), default=None
            Weights of samples.

        Returns
        -------
        float
            At most 1.
        """
        predicted = self.predict(X)
        return float(self._labels.score(y, predicted, sample_weight))

    def _probabilities(self, salient: AnyArray, *, sampled: bool = False) -> AnyArray:
        """Return the probability of each group, the background first."""
        with self._inference() as (module, put):
            read_out = None if sampled else module.read_out
            classifier = module.salient_classifier if read_out is None else read_out
            return as_numpy(group_logits(classifier(put(salient))).softmax(dim=1))
