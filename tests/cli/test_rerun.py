"""`sepvae rerun`: the same data give the same numbers, other data are refused, another number is told."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.numpy import load_file, save_file

from sepvae.data import load_digits_on_photos, simulate_vbm_cohort
from sepvae.errors import DataError, RunFolderError, SepVAEError
from sepvae.runs import compare_runs
from sepvae.runs.rerunning import compare_conditions

from ..helpers import invoke, linear, quick_sets

pytestmark = pytest.mark.usefixtures("undrawn", "judged_shortly")


@pytest.fixture
def own_run(regions_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(regions_run, tmp_path / "run")
    return tmp_path / "run"


def test_a_table_gives_the_same_numbers_beside_the_run(own_run: Path, regions: Path) -> None:
    output = invoke("rerun", own_run, regions)
    assert "differ" not in output
    # Weights, codes, scores, correlations, removal, counterfactuals, maps.
    assert output.count("identical") == 7
    again = own_run.with_name("run-rerun")
    assert (again / "report.html").is_file()
    for file in ("codes.csv", "split.csv", "model/model.safetensors"):
        assert (again / file).read_bytes() == (own_run / file).read_bytes()
    invoke("rerun", own_run, regions)
    assert own_run.with_name("run-rerun-2").is_dir()


@pytest.mark.slow
def test_images_give_the_same_numbers_and_the_same_recipe(run: Path, folder: Path, tmp_path: Path) -> None:
    output = invoke("rerun", run, folder, "--out", tmp_path / "again")
    assert "differ" not in output
    assert output.count("identical") == 8
    first, second = (yaml.safe_load((path / "recipe.yaml").read_text()) for path in (run, tmp_path / "again"))
    assert second | {"seconds": first["seconds"]} == first


def test_the_samples_of_a_limited_fit_are_found_again(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "faces")
    run = tmp_path / "run"
    invoke("fit", folder, "--out", run, "--limit", 15, "--image-size", 16, *linear())
    Image.new("L", (20, 20)).save(tmp_path / "faces" / "control" / "a_first.png")
    assert "differ" not in invoke("rerun", run, tmp_path / "faces")


def test_samples_that_came_later_are_left_out(own_run: Path, regions: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(regions)
    more = pd.concat([rows.tail(1).assign(participant_id="new"), rows])
    more.to_csv(tmp_path / "more.csv", index=False)
    assert f"1 samples are not of {own_run}, such as 'new'" in invoke("rerun", own_run, tmp_path / "more.csv")


@pytest.mark.slow
def test_volumes_keep_their_mask_in_files_and_packed(tmp_path: Path) -> None:
    cohort = simulate_vbm_cohort(tmp_path / "cohort", n_subjects=24, side=16).parent
    people, run = cohort / "participants.tsv", tmp_path / "run"
    images = ["--images", "{participant_id}/anat/{participant_id}_GM.nii.gz"]
    mask = cohort / "truth" / "brain_mask.nii.gz"
    invoke("fit", people, *images, "--label", "group", "--mask", mask, "--out", run, *linear())
    mask.unlink()
    assert "differ" not in invoke("rerun", run, people)
    invoke("pack", people, tmp_path / "cohort.zarr", *images)
    assert "differ" not in invoke("rerun", run, tmp_path / "cohort.zarr")


@pytest.mark.slow
def test_the_demo_brings_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(part.select(np.arange(0, len(part), 9)) for part in load_digits_on_photos())
    monkeypatch.setattr("sepvae.data.bundled.load_digits_on_photos", lambda *_: few)
    invoke("demo", "--out", tmp_path / "run", "--permutations", 0, *quick_sets())
    assert "differ" not in invoke("rerun", tmp_path / "run")
    with pytest.raises(DataError, match="come with the library; leave it out"):
        invoke("rerun", tmp_path / "run", tmp_path)


def change_measure(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(lh_a=rows["lh_a"].mask(rows.index == 3, 0.5))


OTHER_DATA: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "measure": (change_measure, "attributes are the same, what the samples hold is not"),
    "attribute": (
        lambda rows: rows.assign(age=rows["age"] + 1),
        r"age of 'p\d+' was '.*', is '.*', and 59 more",
    ),
    "label": (
        lambda rows: rows.assign(dx=rows["dx"].mask(rows.index == 0, "mdd")),
        "label of 'p0' was 'hc', is 'mdd'",
    ),
    "fewer": (
        lambda rows: rows.drop(index=7),
        "1 of the 60 samples of .* are not there, such as 'p7'; nothing was",
    ),
    "others": (
        lambda rows: rows.assign(participant_id="s" + rows["participant_id"]),
        "60 of the 60 samples of .* are not there, such as 'p.*'; 60 others are there, such as 'sp0'",
    ),
    "column": (lambda rows: rows.drop(columns="age"), "no column 'age'"),
}


@pytest.mark.parametrize(("change", "message"), OTHER_DATA.values(), ids=OTHER_DATA)
def test_other_data_are_told_in_one_line_and_nothing_is_fitted(
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
    regions_run: Path,
    regions: Path,
    tmp_path: Path,
) -> None:
    change(pd.read_csv(regions)).to_csv(tmp_path / "regions.csv", index=False)
    with pytest.raises(SepVAEError, match=message) as error:
        invoke("rerun", regions_run, tmp_path / "regions.csv", "--out", tmp_path / "again")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "again").exists()


def test_another_number_is_told_with_its_place(own_run: Path, regions: Path) -> None:
    codes = pd.read_csv(own_run / "codes.csv")
    codes.loc[4, "salient0"] += 0.25
    codes.to_csv(own_run / "codes.csv", index=False)
    output = " ".join(invoke("rerun", own_run, regions, status=1).split())
    assert re.search(r"codes.csv differ 0.25 [\d.]+ salient0, row 5", output)
    assert output.count("identical") == 6
    assert "not all numbers are those of" in output


def change_recipe(run: Path, **changes: object) -> None:
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    keywords = recipe["keywords"] | changes.pop("keywords", {})
    recipe = {k: v for k, v in (recipe | {"keywords": keywords} | changes).items() if v is not None}
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))


CANNOT = {
    "not finished": ({"seconds": None}, "is not finished"),
    "own network": ({"keywords": {"network": ["Sequential", "Linear"]}}, "modules of your own"),
    "own transform": ({"keywords": {"augment": "my:transform"}}, "augment, code that no file may name"),
    "no seed": ({"keywords": {"random_state": None}}, "random_state=None"),
    "keyword": ({"keywords": {"kapa": 1}}, "has kapa, which ContrastivePCA does not know"),
    "method": ({"method": "os.system"}, "names no method that is installed"),
    "threads": ({"threads": "many"}, "wanted a whole number from 1, got 'many'"),
    "from Python": ({"data": {"reader": "frame", "fingerprint": "0"}}, "does not say how the data were read"),
}


@pytest.mark.parametrize(("changes", "message"), CANNOT.values(), ids=CANNOT)
def test_what_cannot_be_repeated_is_refused(
    changes: dict[str, object], message: str, own_run: Path, regions: Path
) -> None:
    change_recipe(own_run, **changes)
    with pytest.raises(SepVAEError, match=message) as error:
        invoke("rerun", own_run, regions)
    assert "\n" not in str(error.value)
    assert not own_run.with_name("run-rerun").exists()


def test_data_are_to_be_named(regions_run: Path) -> None:
    with pytest.raises(DataError, match=r"was fitted on regions.csv \(regions\); say where that is"):
        invoke("rerun", regions_run)


def test_other_conditions_are_told(own_run: Path, regions: Path, tmp_path: Path) -> None:
    versions = own_run / "versions.json"
    versions.write_text(versions.read_text().replace(torch.__version__, "1.0"))
    change_recipe(own_run, threads=1)
    again = tmp_path / "again"
    assert f"torch: was 1.0, is {torch.__version__}" in invoke("rerun", own_run, regions, "--out", again)
    change_recipe(again, threads=3)
    told = compare_conditions(own_run, again).set_index("what")
    assert told.loc["threads"].tolist() == ["1", "3"]


@pytest.mark.slow
def test_as_many_threads_compute_as_before(own_run: Path, regions: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    change_recipe(own_run, threads=before + 1)
    assert "differ" not in invoke("rerun", own_run, regions, "--out", tmp_path / "again")
    assert yaml.safe_load((tmp_path / "again" / "recipe.yaml").read_text())["threads"] == before + 1
    assert torch.get_num_threads() == before


def test_weights_and_maps_are_compared_number_by_number(own_run: Path, tmp_path: Path) -> None:
    other, file = tmp_path / "other", "model/model.safetensors"
    shutil.copytree(own_run, other)
    assert compare_runs(own_run, other)["identical"].all()
    arrays = load_file(own_run / file)
    name = next(name for name, array in arrays.items() if name.startswith("module.") and array.ndim == 2)
    arrays[name][1, 0] *= 1.5
    save_file(arrays, other / file)
    regions = pd.read_csv(own_run / "maps" / "regions.csv")
    regions.assign(feature="x").to_csv(other / "maps" / "regions.csv", index=False)
    (other / "correlations.csv").unlink()
    found = compare_runs(own_run, other).set_index("what")
    assert found.index[~found["identical"]].tolist() == ["weights", "correlations.csv", "maps"]
    assert found.loc["weights", "where"] == f"{name}, [1, 0]"
    assert found.loc["weights", "relative"] == pytest.approx(1 / 3)
    assert found.loc["maps", "where"] == "maps/regions.csv: feature, row 1"
    assert found.loc["correlations.csv", "where"] == f"correlations.csv is only in {own_run}"


def test_gaps_times_and_shapes_are_compared_as_they_are(own_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    columns = {"train_loss": ["1.0", "", "inf"], "seconds": ["1", "2", "3"]}
    pd.DataFrame(columns).to_csv(own_run / "metrics.csv", index=False)
    pd.DataFrame(columns | {"seconds": ["9", "9", "9"]}).to_csv(other / "metrics.csv", index=False)
    assert compare_runs(own_run, other).set_index("what").loc["metrics.csv", "identical"]
    pd.DataFrame(columns | {"train_loss": ["1.0", "2.0", "inf"]}).to_csv(other / "metrics.csv", index=False)
    gap = compare_runs(own_run, other).set_index("what").loc["metrics.csv"]
    assert (gap["absolute"], gap["where"]) == (np.inf, "train_loss, row 2")
    pd.DataFrame({"train_loss": ["1.0"]}).to_csv(other / "metrics.csv", index=False)
    assert "3 cells and 1 cells" in compare_runs(own_run, other).set_index("what").loc["metrics.csv", "where"]


def test_damaged_weights_are_named(own_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(own_run, other)
    (other / "model" / "model.safetensors").write_bytes(b"\x80\x04.")
    with pytest.raises(RunFolderError, match=r"model\.safetensors is damaged"):
        compare_runs(own_run, other)
