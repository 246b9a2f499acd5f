"""Render a page as one HTML file in which text from data cannot become markup or script."""

import base64
import gzip
import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from sepvae.errors import RunFolderError
from sepvae.files import write_whole

# Invisible characters: control characters, bidirectional marks, unpaired surrogates.
UNSEEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
FORBIDDEN = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def render(
    template: str,
    contents: dict[str, Any],
    scripts: list[str] | None = None,
    inner_scripts: list[str] | None = None,
) -> str:
    """
    Render a template of this package; all text is escaped.

    The content security policy allows `scripts` and `inner_scripts` only, by their hashes. The latter are
    scripts of frames within the page, and packed ones.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from sepvae.plotting import palette

    environment = Environment(
        loader=PackageLoader("sepvae.report", ""),
        autoescape=True,
        finalize=_seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = [script.replace("\r\n", "\n") for script in scripts or []]
    return environment.get_template(template).render(
        contents,
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - ours and plotly's, no data in them
        palette=palette,
        policy=_policy([*scripts, *(inner_scripts or [])]),
    )


def write_page(path: Path, page: str) -> Path:
    """Write a page atomically; raise RunFolderError if its folder is missing or the path is a folder."""
    if path.is_dir():
        raise RunFolderError(f"{path}: wanted the name of a page, got a folder; add a name such as page.html")
    if not path.parent.is_dir():
        raise RunFolderError(f"{path}: the folder {path.parent} does not exist; make it first")
    write_whole(path, page)
    return path


def as_json(value: Any) -> Any:
    """
    Return data as JSON for a script element, so that no text in it can end the element.

    >>> print(as_json({"id": "</script>"}))
    {"id":"\\u003c/script\\u003e"}
    """
    from markupsafe import Markup

    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign, escaped in FORBIDDEN.items():
        text = text.replace(sign, escaped)
    return Markup(text)  # noqa: S704 - escaped above


def scatter_scripts() -> tuple[str, str]:
    """Return the scripts of the interactive scatter plot: plotly, then ours."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

    return get_plotlyjs(), files("sepvae.report").joinpath("scatter.js").read_text("utf-8")


def packed(script: str) -> str:
    """Return a script as base64 of gzip, for a small page; another script of the page unpacks it."""
    return base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()


def _seen(value: Any) -> Any:
    """Escape invisible characters: a bidirectional mark in a name could reverse the number after it."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return UNSEEN.sub(lambda found: ascii(found[0])[1:-1], value)


def _policy(scripts: list[str]) -> str:
    """Return a content security policy: no external resources, only these scripts, images as data URIs."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; img-src data:; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )
