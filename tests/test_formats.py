"""Files that older programs wrote are read for ever; those of newer ones are refused in words."""

import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from torch import nn

import sepvae
from sepvae.data import frame_source
from sepvae.errors import ModelFileError, RunFolderError
from sepvae.model_files import FORMAT
from sepvae.networks.autoencoder import NETWORKS, build_autoencoder
from sepvae.report import write_report
from sepvae.run_folder import FORMAT as RUN_FORMAT
from sepvae.run_folder import RunFolder
from sepvae.runs import evaluate_run
from sepvae.runs.scoring import encode_run

from .helpers import quick

STORED = Path(__file__).parent / "fixtures"
FORMATS = range(1, FORMAT + 1)
CODES = ("common_mean", "common_logvar", "salient_mean", "salient_logvar")


def own_modules() -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
    return encoder, nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 5))


def assert_close(got: npt.NDArray[np.floating], stored: npt.NDArray[np.floating]) -> None:
    np.testing.assert_allclose(got, stored, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("number", FORMATS)
def test_a_stored_model_of_a_table_gives_what_it_gave(number: int) -> None:
    folder = STORED / f"format-{number}"
    table, then = pd.read_csv(folder / "table.csv"), np.load(folder / "table.npz")
    model = sepvae.load(folder / "table", network=own_modules())
    codes = model.encode(table)
    for part in CODES:
        assert_close(getattr(codes, part), then[part])
    assert_close(model.reconstruct(table), then["reconstruction"])
    assert_close(model.predict_proba(table), then["probabilities"])
    assert model.background_ == "control"


@pytest.mark.parametrize("number", FORMATS)
def test_a_stored_model_of_volumes_gives_what_it_gave(number: int) -> None:
    folder = STORED / f"format-{number}"
    then, model = np.load(folder / "volumes.npz"), sepvae.load(folder / "volumes")
    codes = model.encode(then["x"])
    for part in CODES:
        assert_close(getattr(codes, part), then[part])
    assert_close(model.reconstruct(then["x"]), then["reconstruction"])
    assert model.grid_.mask.sum() < model.grid_.mask.size
    assert model.grid_.axes == "LAS"


@pytest.mark.parametrize("name", sorted({name for names in NETWORKS.values() for name in names}))
def test_networks_have_the_weights_that_files_have(name: str) -> None:
    stored = json.loads((STORED / "networks.json").read_text())[name]
    shape, weights = tuple(stored["sample_shape"]), stored["weights"]
    assert shapes(build_autoencoder(name, shape, 2, 3, 2, stored=weights)) == weights
    today = shapes(build_autoencoder(name, shape, 2, 3, 2))
    assert {key: today.pop(key) for key in list(today) if key.startswith("read_out.")} == {
        "read_out.0.weight": [16, 3],
        "read_out.0.bias": [16],
        "read_out.2.weight": [1, 16],
        "read_out.2.bias": [1],
    }
    if name == "release":
        assert today["decoder.0.weight"] == [256, 5]  # straight from [c, s], as in the authors' release
        today, weights = ({k: v for k, v in of.items() if "decoder" not in k} for of in (today, weights))
    assert today == weights


def shapes(model: nn.Module) -> dict[str, list[int]]:
    return {key: list(weight.shape) for key, weight in model.state_dict().items()}


def test_a_model_of_network_release_with_the_layer_that_was_dropped_still_loads(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((8, 1, 64, 64)).astype(np.float32)
    keywords = quick(salient_dim=3, batch_size=8, network="release", background=0)
    model = sepvae.SepVAE(**keywords).fit(x, np.repeat([0, 1], 4))
    weights = json.loads((STORED / "networks.json").read_text())["release"]["weights"]
    model.module_ = build_autoencoder("release", (1, 64, 64), 2, 3, 2, stored=weights).eval()
    assert sum(key.startswith("decoder.2.") for key in model.module_.state_dict()) == 2
    loaded = sepvae.load(model.save(tmp_path / "old"))
    np.testing.assert_array_equal(loaded.reconstruct(x), model.reconstruct(x))
    again = sepvae.load(loaded.save(tmp_path / "again"))
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))
    np.testing.assert_array_equal(again.predict_proba(x), again.sampled_classifier_proba(x))  # no read-out


@pytest.mark.parametrize("more", [{}, {"keywords": {"of_a_later": 1}}, {"class": "Later", "sha256": None}])
def test_a_newer_format_is_refused_in_words(tmp_path: Path, more: dict[str, object]) -> None:
    folder = shutil.copytree(STORED / "format-2" / "volumes", tmp_path / "model")
    about = json.loads((folder / "model.json").read_text()) | {"format": FORMAT + 1} | more
    (folder / "model.json").write_text(json.dumps(about))
    told = rf"newer sepvae \(format {FORMAT + 1}, this program reads up to {FORMAT}\); update sepvae$"
    with pytest.raises(ModelFileError, match=told):
        sepvae.load(folder)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (2.5, "valid integer"),
        ("2", "valid integer"),
        (True, "valid integer"),
        (None, "valid integer"),
        (0, "format 0"),
        (-1, "format -1"),
    ],
)
def test_a_format_that_never_was_is_refused(tmp_path: Path, number: object, told: str) -> None:
    folder = shutil.copytree(STORED / "format-2" / "volumes", tmp_path / "model")
    about = json.loads((folder / "model.json").read_text()) | {"format": number}
    (folder / "model.json").write_text(json.dumps(about))
    with pytest.raises(ModelFileError, match=told):
        sepvae.load(folder)


@pytest.fixture
def stored_run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORED / f"run-format-{RUN_FORMAT}" / "run", tmp_path / "run"))


def test_a_stored_run_encodes_as_it_did(stored_run: Path) -> None:
    frame = RunFolder(stored_run).codes.required().query("split == 'test'")
    new = pd.read_csv(STORED / f"run-format-{RUN_FORMAT}" / "new.csv", dtype={"subtype": str})
    source = frame_source(new, label="dx", id="id", attributes=["subtype", "age"], features=list("abcd"))
    codes = encode_run(stored_run, source)
    assert codes["id"].tolist() == frame["id"].tolist()
    columns = ["common0", "common1", "salient0"]
    assert_close(codes[columns].to_numpy(), frame[columns].to_numpy())


def test_a_stored_run_is_scored_and_reported_as_it_was(stored_run: Path) -> None:
    scores = RunFolder(stored_run).scores
    then = scores.required()
    scores.write(evaluate_run(stored_run, n_permutations=19))
    now = scores.required()
    key = ["space", "attribute", "population", "metric"]
    now = then[key].merge(now, how="left")[then.columns]  # other scores are newer than the run
    interval = ["low", "high"]  # by the percentile bootstrap then, by Student's t now
    pd.testing.assert_frame_equal(now.drop(columns=interval), then.drop(columns=interval), rtol=1e-4)
    known = now.dropna(subset=interval)
    assert len(known) == len(then.dropna(subset=interval))
    assert known["score"].between(known["low"], known["high"]).all()
    assert "scz" in write_report(stored_run).read_text()


def test_a_run_of_a_newer_format_is_refused_in_words(stored_run: Path) -> None:
    recipe = stored_run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("format: 1", "format: 7"))
    with pytest.raises(
        RunFolderError, match=r"recipe.yaml is of format 7, this sepvae reads .* update sepvae"
    ):
        evaluate_run(stored_run)
