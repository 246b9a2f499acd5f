"""A run folder, or several of them, as one HTML page that needs nothing else."""

from sepvae.report.comparison import write_comparison
from sepvae.report.page import write_report

__all__ = ["write_comparison", "write_report"]
