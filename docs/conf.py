"""Configuration of the documentation site; `make docs` builds it, without network."""

import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import sepvae

project = "sepvae"
author = "The sepvae developers"
copyright = author  # noqa: A001 - the name Sphinx reads
version = release = sepvae.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "developing/examples"]
templates_path = ["_templates"]
nitpicky = False  # types in docstrings are words, such as "array of shape (n, d)"

# Anchors of headings as code hosts make them. A link to a file that is no page, such as a test or a table,
# becomes a download.
myst_heading_anchors = 4

autodoc_typehints = "none"  # docstrings have the types in words, with shapes
autodoc_default_options = {"members": True, "member-order": "bysource"}
numpydoc_show_class_members = False  # methods are documented in full below each class

# The gallery: every file of examples is run by the build, one after another, and an error stops it.
sys.path.append(str(Path(__file__).parent))  # for gallery_figures
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "image_scrapers": ("gallery_figures.scrape",),
    "capture_repr": ("_repr_html_",),  # tables; numbers are printed
    "ignore_repr_types": "sepvae",  # a cell that ends with `model.fit(..)`
    "backreferences_dir": "gallery/backreferences",  # for "Examples with .." on pages of the API
    "doc_module": ("sepvae",),
    "inspect_global_variables": False,  # names in the code are enough
    "first_notebook_cell": "%matplotlib inline",  # shows figures that end a cell
    "remove_config_comments": True,
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"sepvae {version}"
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"gallery/*": []}  # room for code
html_static_path, html_css_files = ["_static"], ["site.css"]
html_copy_source = html_show_sourcelink = False


def setup(app: Sphinx) -> None:
    """Connect the two hooks below."""
    app.connect("autodoc-skip-member", skip_inherited)
    app.connect("autodoc-process-docstring", patterns_as_code)


def skip_inherited(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out methods of scikit-learn and pydantic, whose docstrings refer to pages of their own sites."""
    module = getattr(getattr(member, "fget", member), "__module__", None)
    return True if (module or "sepvae").split(".")[0] in ("sklearn", "pydantic") else None


def patterns_as_code(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Mark patterns of file names such as 'sub-*/anat' as code: a star would begin emphasis."""
    lines[:] = [re.sub(r"(?<!`)('[^' ]*\*[^' ]*')(?!`)", r"``\1``", line) for line in lines]
