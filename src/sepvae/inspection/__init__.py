"""Checks of data before a fit: sample sizes, duplicates, confounds, groups on both sides of a split."""

from sepvae.inspection.inspect import inspect
from sepvae.inspection.record import Finding, Inspection

__all__ = ["Finding", "Inspection", "inspect"]
