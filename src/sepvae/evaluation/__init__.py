"""What frozen codes know: probes, separation of the two spaces, and one table of scores."""

from sepvae.codes import attribute_kind
from sepvae.evaluation.correlations import salient_correlations
from sepvae.evaluation.probes import Samples, make_probe, score_probe
from sepvae.evaluation.scores import left_out, score_codes
from sepvae.evaluation.separation import active_units, separation_scores, variance_ratio

__all__ = [
    "Samples",
    "active_units",
    "attribute_kind",
    "left_out",
    "make_probe",
    "salient_correlations",
    "score_codes",
    "score_probe",
    "separation_scores",
    "variance_ratio",
]
