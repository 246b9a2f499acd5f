"""Render a page as one HTML file in which text from data cannot become markup or script."""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sepvae.errors import RunFolderError
from sepvae.files import write_whole

if TYPE_CHECKING:
    from jinja2 import Environment

# Invisible characters: control characters, bidirectional marks, unpaired surrogates.
UNSEEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def render(
    template: str, context: dict[str, Any], scripts: Sequence[str] = (), inner_scripts: Sequence[str] = ()
) -> str:
    """
    Render a template of this package; all text is escaped.

    The content security policy allows no external resources, and of scripts only `scripts` and
    `inner_scripts`, by their hashes. The latter are scripts of frames within the page, and packed ones.
    """
    from markupsafe import Markup

    from sepvae.plotting import palette

    scripts = [script.replace("\r\n", "\n") for script in scripts]
    digests = [hashlib.sha256(script.encode()).digest() for script in (*scripts, *inner_scripts)]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests) or "'none'"
    policy = (
        f"default-src 'none'; script-src {allowed}; img-src data:; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template(template)
        .render(
            context,
            scripts=[Markup(script) for script in scripts],  # noqa: S704 - ours and plotly's, no data in them
            palette=palette,
            policy=policy,
        )
    )


@cache  # of templates, which take longer to compile than to fill
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sepvae.report", ""),
        autoescape=True,
        finalize=_seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment


def _seen(value: Any) -> Any:
    """Escape invisible characters: a bidirectional mark in a name could reverse the number after it."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return UNSEEN.sub(lambda found: ascii(found[0])[1:-1], value)


def scripts_within(page: str | None) -> list[str]:
    """
    Return the scripts of a page that sepvae made, so that the policy of the outer page can allow them.

    >>> scripts_within("<p>a</p><script>let a = 1</script>")
    ['let a = 1']
    """
    return re.findall(r"<script>(.*?)</script>", page or "", re.DOTALL)


def write_page(path: Path, page: str) -> Path:
    """Write a page atomically; raise RunFolderError if its folder is missing or the path is a folder."""
    if path.is_dir():
        raise RunFolderError(f"{path}: wanted the name of a page, got a folder; add a name such as page.html")
    if not path.parent.is_dir():
        raise RunFolderError(f"{path}: the folder {path.parent} does not exist; make it first")
    write_whole(path, page)
    return path
