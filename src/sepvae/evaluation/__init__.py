"""Evaluation of frozen codes: probes, separation of the two spaces, correlations, scores."""

from sepvae.evaluation.correlations import clinical_associations, partial_spearman, salient_correlations
from sepvae.evaluation.metrics import map_scores
from sepvae.evaluation.probes import Samples, score_probe
from sepvae.evaluation.scores import active_units, left_out, score_codes, separation_scores, variance_ratio
from sepvae.evaluation.subtypes import find_subtypes
from sepvae.evaluation.visits import visit_scores, yearly_slopes

__all__ = [
    "Samples",
    "active_units",
    "clinical_associations",
    "find_subtypes",
    "left_out",
    "map_scores",
    "partial_spearman",
    "salient_correlations",
    "score_codes",
    "score_probe",
    "separation_scores",
    "variance_ratio",
    "visit_scores",
    "yearly_slopes",
]
