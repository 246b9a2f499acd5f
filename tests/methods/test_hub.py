"""Models on the Hugging Face Hub: a folder stands for it, and no network is used."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

import sepvae
from sepvae import ContrastivePCA
from sepvae.errors import DataError, ModelFileError
from sepvae.run_folder import RunFolder

from ..helpers import invoke, outcome


class Hub:
    """Repositories below a folder, as `HfApi` and `hf_hub_download` see them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.private, self.asked = folder, dict[str, bool](), list[Any]()

    def create_repo(self, repo: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.private.setdefault(repo, private)

    def repo_info(self, repo: str) -> Any:
        return SimpleNamespace(private=self.private[repo])

    def create_commit(self, repo: str, files: list[Any], *, commit_message: str) -> None:
        assert "sepvae" in commit_message
        for file in files:
            path = self.folder / repo / file.path_in_repo
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.path_or_fileobj)

    def download(self, repo: str, name: str, *, revision: str | None) -> str:
        self.asked.append((name, revision))
        if not (file := self.folder / repo / name).exists():
            raise FileNotFoundError(f"404 {name}")
        return str(file)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(tmp_path / "hub")
    monkeypatch.setattr("huggingface_hub.HfApi", lambda **_: hub)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub.download)
    return hub


@pytest.fixture(scope="module")
def model() -> ContrastivePCA:
    x = np.random.default_rng(0).normal(size=(40, 4))
    return ContrastivePCA(2, 1, background="hc").fit(x, ["hc", "scz"] * 20)


def front_matter(card: str) -> Any:
    return yaml.safe_load(card.split("---\n")[1])


def test_a_model_comes_back_from_the_hub_by_its_two_files(hub: Hub, model: ContrastivePCA) -> None:
    assert model.push_to_hub("lab/model", license_id="cc-by-nc-4.0") == "hf://lab/model"
    assert hub.private == {"lab/model": True}
    folder = hub.folder / "lab" / "model"
    assert {file.name for file in folder.iterdir()} == {"README.md", "model.json", "model.safetensors"}
    loaded, x = sepvae.load("hf://lab/model@v1.0"), np.ones((2, 4))
    np.testing.assert_array_equal(loaded.transform(x), model.transform(x))
    assert hub.asked == [("model.json", "v1.0"), ("model.safetensors", "v1.0")]
    card = (folder / "README.md").read_text("utf-8")
    tags = ["contrastive-analysis", "medical-imaging"]
    assert front_matter(card) == {"library_name": "sepvae", "tags": tags, "license": "cc-by-nc-4.0"}
    for words in ('load("hf://lab/model")', "scz against hc", "no medical\ndevice", "Nothing is known here"):
        assert words in card


def test_what_is_downloaded_is_validated(hub: Hub, model: ContrastivePCA) -> None:
    model.push_to_hub("lab/model")
    weights = hub.folder / "lab" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(
        ModelFileError, match=r"model\.safetensors: the weights are not those that were saved"
    ):
        sepvae.load("hf://lab/model")
    shutil.rmtree(weights.parent)
    refused = r"hf://lab/model: cannot be downloaded \(FileNotFoundError: 404 model\.json\)"
    with pytest.raises(ModelFileError, match=refused):
        sepvae.load("hf://lab/model")
    for address in ("hf://model", "hf://lab/model/../../x", "hf://lab/model@"):
        with pytest.raises(ModelFileError, match=r"wanted hf://user/model or hf://user/model@revision"):
            sepvae.load(address)


def test_a_public_repository_gets_nothing_that_is_to_be_private(hub: Hub, model: ContrastivePCA) -> None:
    hub.private["lab/open"] = False
    with pytest.raises(DataError, match=r"lab/open: exists and is public; nothing was uploaded"):
        model.push_to_hub("lab/open")
    assert not (hub.folder / "lab" / "open").exists()
    model.push_to_hub("lab/open", private=False)
    assert (hub.folder / "lab" / "open" / "model.json").exists()
    with pytest.raises(DataError, match="repository: wanted user/model, got 'model'"):
        model.push_to_hub("model")


def test_the_card_of_a_run_has_numbers_and_no_people(hub: Hub, table_run: Path) -> None:
    said = invoke("push", table_run, "lab/run", "--license", "mit", "--dry-run")
    assert 'load("hf://lab/run")' in said
    assert "nothing was uploaded; without --dry-run this card and the model go to lab/run (private)" in said
    assert not hub.folder.exists()
    assert "model: hf://lab/run" in invoke("push", table_run, "lab/run", "--license", "mit")
    folder, codes = hub.folder / "lab" / "run", RunFolder(table_run).codes.required()
    assert {file.name for file in folder.iterdir()} == {"README.md", "model.json", "model.safetensors"}
    card = (folder / "README.md").read_text("utf-8")
    n = {
        part: int((codes.query("label == 'hc'")["split"] == part).sum())
        for part in ("test", "train", "validation")
    }
    assert f"| hc | {n['test']} | {n['train']} | {n['validation']} |" in card
    assert "Attributes: subtype (2 classes), age (an amount)." in card
    assert "Verdict: **" in card
    assert "| salient | background or target among all samples | AUC " in card
    assert "95 % interval" in card
    assert not [
        name for name in codes["id"] if f" {name}" in card or name in (folder / "model.json").read_text()
    ]
    assert outcome("push", table_run, "no-user")[0] == 1
