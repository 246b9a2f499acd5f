"""Self-contained HTML pages of one run folder or several."""

from sepvae.report.page import write_report

__all__ = ["write_report"]
