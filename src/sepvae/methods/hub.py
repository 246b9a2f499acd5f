"""Models on the Hugging Face Hub: a model card, an upload of the model's files alone, a download of these."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

import sepvae
from sepvae.errors import DataError, ModelFileError, reason_of
from sepvae.model_files import ABOUT, WEIGHTS

if TYPE_CHECKING:
    from sepvae.methods.base import ContrastiveEstimator

SCHEME, CARD = "hf://", "README.md"
REPO = re.compile(r"[\w.-]+/[\w.-]+")
ADDRESS = re.compile(rf"{SCHEME}({REPO.pattern})(?:@([\w./-]+))?")
KINDS = {1: "tables of {} features", 3: "images of {}", 4: "volumes of {}"}
USE = """## Intended use and limits

For research on groups: which variation of the target group the background lacks. This is no medical
device. It was not validated for any clinical purpose, and must not be used to diagnose, to choose a
treatment, or to rank people for care, insurance or work.

- Codes, maps and decoded samples of single people describe the model. They are no findings.
- A sample decoded without its salient part is not how that person would look when healthy.
- What goes with the groups in the data, such as site, scanner or age, may be in the salient code.
- Nothing is known of people who are not like those of the fit, or were measured in another way.
- The model holds statistics of the people it was fitted on, and may remember some of them. Share it
  only as far as the terms of these data allow.
"""


def model_card(estimator: "ContrastiveEstimator", repo: str, license_id: str | None, about: str) -> str:
    """Return README.md: front matter, method, `about` (data and results, if known), use and limits."""
    head = {"library_name": "sepvae", "tags": ["contrastive-analysis", "medical-imaging"]}
    method, shape = type(estimator).__name__, estimator.sample_shape_
    targets = ", ".join(str(c) for c in estimator.classes_ if c != estimator.background_)
    network = f", network `{used}`" if isinstance(used := getattr(estimator, "network", None), str) else ""
    return f"""---
{yaml.safe_dump(head | ({"license": license_id} if license_id else {}), sort_keys=False)}---

# {method} model: {targets} against {estimator.background_}

Contrastive analysis with sepvae {sepvae.__version__}, method {method}{network}.
{estimator.common_dim} common dimensions are meant for what all people share,
{estimator.salient_dim} salient dimensions for what only the target group has.
License: {license_id or "none was stated"}.

```python
import sepvae

model = sepvae.load("{SCHEME}{repo}")  # pip install 'sepvae[hub]'
codes = model.encode(X)  # {KINDS[len(shape)].format(" x ".join(map(str, shape)))}
```

{about or "Nothing is known here of its data and of how it was scored: it was not pushed from a run."}

{USE}"""


def upload(estimator: "ContrastiveEstimator", folder: Path, card: str, repo: str, *, private: bool) -> str:
    """Upload a saved model and its card, and nothing else; return the address. Network is used here only."""
    from huggingface_hub import CommitOperationAdd, HfApi

    check_repo(repo)
    content = {CARD: card.encode()} | {name: (folder / name).read_bytes() for name in (ABOUT, WEIGHTS)}
    api = HfApi(library_name="sepvae", library_version=sepvae.__version__)
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        public = not api.repo_info(repo).private
        if not (private and public):
            files = [CommitOperationAdd(name, file) for name, file in content.items()]
            message = f"{type(estimator).__name__} of sepvae {sepvae.__version__}"
            api.create_commit(repo, files, commit_message=message)
    except Exception as error:  # of the network, of the account, or of the repository
        raise DataError(f"{repo}: cannot be pushed ({reason_of(error)})") from error
    if private and public:
        raise DataError(
            f"{repo}: exists and is public; nothing was uploaded: give private=False if it may be"
        )
    return f"{SCHEME}{repo}"


def download(address: str) -> Path:
    """Return the folder of the two files of a model at `hf://user/model@revision`, not yet validated."""
    from huggingface_hub import hf_hub_download

    if (found := ADDRESS.fullmatch(address)) is None:
        raise ModelFileError(f"{address}: wanted hf://user/model or hf://user/model@revision")
    repo, revision = found.groups()
    try:
        files = [hf_hub_download(repo, name, revision=revision) for name in (ABOUT, WEIGHTS)]
    except Exception as error:  # no such repository, file or revision; no network
        raise ModelFileError(f"{address}: cannot be downloaded ({reason_of(error)})") from error
    return Path(files[0]).parent


def check_repo(repo: str) -> None:
    """Raise DataError unless the name of a repository has two parts."""
    if not REPO.fullmatch(repo):
        raise DataError(f"repository: wanted user/model, got {repo!r}")
