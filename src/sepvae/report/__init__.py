"""Self-contained HTML pages of one run folder or several."""

from sepvae.report.comparison import write_comparison
from sepvae.report.page import write_report

__all__ = ["write_comparison", "write_report"]
