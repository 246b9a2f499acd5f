"""What would spoil a fit, found before it: too few samples, copies, confounds, patients on both sides."""

from sepvae.inspection.all_checks import inspect
from sepvae.inspection.record import Finding, Inspection

__all__ = ["Finding", "Inspection", "inspect"]
