"""Checks of data before a fit: sample sizes, duplicates, confounds, groups on both sides of a split."""

from sepvae.inspection.findings import Finding, Inspection
from sepvae.inspection.inspect import inspect

__all__ = ["Finding", "Inspection", "inspect"]
