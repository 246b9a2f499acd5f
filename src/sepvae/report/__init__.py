"""A run folder as one HTML page that needs nothing else."""

from sepvae.report.page import write_report

__all__ = ["write_report"]
