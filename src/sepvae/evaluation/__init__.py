"""Evaluation of frozen codes: probes, separation of the two spaces, correlations, scores."""

from sepvae.codes import attribute_kind
from sepvae.evaluation.correlations import clinical_associations, partial_spearman, salient_correlations
from sepvae.evaluation.metrics import MapScores, map_scores
from sepvae.evaluation.probes import Samples, make_probe, score_probe
from sepvae.evaluation.scores import active_units, left_out, score_codes, separation_scores, variance_ratio

__all__ = [
    "MapScores",
    "Samples",
    "active_units",
    "attribute_kind",
    "clinical_associations",
    "left_out",
    "make_probe",
    "map_scores",
    "partial_spearman",
    "salient_correlations",
    "score_codes",
    "score_probe",
    "separation_scores",
    "variance_ratio",
]
