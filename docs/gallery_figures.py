"""Pictures of the gallery: matplotlib's scraper of sphinx-gallery, and figures that no window holds."""

from typing import Any
from weakref import WeakSet

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import matplotlib_scraper

_shown: WeakSet[Figure] = WeakSet()


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures of a cell, also one that is its last expression, as a notebook would show it."""
    last = block_vars["example_globals"].get("___")  # stays that of an earlier cell if this one has none
    if isinstance(last, Figure) and last not in _shown:
        plt.figure(last)  # figures of sepvae.plotting are not attached to pyplot
        _shown.add(last)
    text: str = matplotlib_scraper(block, block_vars, gallery_conf, bbox_inches="tight")
    return text
