"""The commands, through their runner and once as a process."""

import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

import sepvae
from sepvae.cli import load_torch, main
from sepvae.cli.tables import print_scores
from sepvae.errors import SepVAEError
from sepvae.report.contents import Contents
from sepvae.report.warnings import find_warnings

from ..helpers import invoke, quick_sets, sets

QUICK = ["--image-size", "16", *sets(max_epochs=1, progress_bar="false")]


def test_fit_leaves_a_whole_run_folder(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == {
        *("recipe.yaml", "split.csv", "versions.json", "model", "metrics.csv", "codes.csv", "scores.csv"),
        *("examples.npz", "figures", "report.html", "check.json", "removal.csv", "correlations.csv"),
        *("thumbnails.npz", "maps", "checkpoints", "verdict.json", "quality.csv", "people.csv"),
        "counterfactuals.csv",
    }
    names = ("codes_label", "codes_kind", "learning_curves", "reconstructions")
    names += ("traversals", "swaps", "correlations", "map_group", "map_people")
    assert {path.name for path in (run / "figures").iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("png", "svg")
    }


def test_ids_groups_and_splits_agree(run: Path, folder: Path) -> None:
    codes, split = pd.read_csv(run / "codes.csv"), pd.read_csv(run / "split.csv")
    assert sorted(codes["id"]) == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*.png")
    )
    pd.testing.assert_frame_equal(split, codes[["id", "group", "label", "split"]])
    assert set(split["split"]) == {"train", "validation", "test"}
    assert split.groupby("group")["split"].nunique().max() == 1
    assert (codes["y"] == (codes["label"] == "patient")).all()


def test_codes_are_those_of_the_saved_model(run: Path, folder: Path) -> None:
    codes = pd.read_csv(run / "codes.csv").set_index("id")
    source = sepvae.data.read_image_folder(folder, image_size=16)
    salient = sepvae.load(run).encode(source).salient_mean
    np.testing.assert_allclose(codes.loc[source.ids, ["salient0", "salient1"]], salient, rtol=1e-4, atol=1e-6)


def test_the_recipe_holds_every_keyword_and_no_absolute_path(run: Path, folder: Path) -> None:
    text = (run / "recipe.yaml").read_text()
    recipe = yaml.safe_load(text)
    assert recipe["keywords"]["max_epochs"] == 2
    assert set(recipe["keywords"]) == set(sepvae.SepVAE().get_params()) - {
        "progress_bar",
        "num_workers",
        "checkpoint",
        "warm_start",
        "logger",
        "callbacks",
    }
    assert str(folder.parent) not in text
    assert "torch" in json.loads((run / "versions.json").read_text())


def test_metrics_have_one_row_per_epoch(run: Path) -> None:
    metrics = pd.read_csv(run / "metrics.csv")
    assert metrics["epoch"].tolist() == [0, 1]
    assert metrics[["train_loss", "validation_loss"]].notna().all(axis=None)


def test_encode_needs_no_labels(run: Path, folder: Path, tmp_path: Path) -> None:
    flat = tmp_path / "new"
    flat.mkdir()
    names = [path.name for path in sorted(folder.rglob("*.png"))[:3]]
    for path in sorted(folder.rglob("*.png"))[:3]:
        (flat / path.name).write_bytes(path.read_bytes())
    output = invoke("encode", run, flat, "--out", tmp_path / "codes.csv")
    assert "codes of 3 samples (3 new)" in output
    assert "encoding: " in output
    new, fitted = pd.read_csv(tmp_path / "codes.csv"), pd.read_csv(run / "codes.csv").set_index("id")
    assert new["id"].tolist() == names
    assert new["y"].isna().all()
    expected = fitted.loc[["control/" + name for name in names], ["common0", "salient1"]]
    np.testing.assert_allclose(new[["common0", "salient1"]], expected, rtol=1e-4, atol=1e-6)


def test_encode_says_which_samples_the_run_has_seen(run: Path, folder: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(folder, tmp_path / "data"))
    first = sorted(data.rglob("*.png"))[0]
    fresh = first.with_name("x99_left_900.png")
    fresh.write_bytes(first.read_bytes())
    known = pd.read_csv(run / "split.csv")
    person = known.query("split == 'train'")["group"].iloc[0]
    second = first.with_name(f"{person}_left_901.png")
    second.write_bytes(first.read_bytes())
    output = invoke("encode", run, data, "--out", tmp_path / "codes.csv")
    assert "note: new samples of subjects that were fitted on: 1" in output.splitlines()
    found = pd.read_csv(tmp_path / "codes.csv").set_index("id")["split"]
    assert {found.pop(file.relative_to(data).as_posix()) for file in (fresh, second)} == {"new"}
    split = known.set_index("id")["split"]
    assert found.to_dict() == split.to_dict()
    assert f"{(split == 'train').sum()} train" in output


def test_evaluate_scores_the_same_codes_alike(run: Path, tmp_path: Path) -> None:
    before = pd.read_csv(run / "scores.csv")
    output = invoke("evaluate", run, "--permutations", 19, "--out", tmp_path / "scores.csv")
    assert "kind" in output
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "scores.csv"), before)


def test_evaluate_refuses_patients_that_were_fitted_on(run: Path, folder: Path) -> None:
    with pytest.raises(SepVAEError, match="subjects of the new data were fitted on, 'p"):
        invoke("evaluate", run, folder)


def test_evaluate_new_images(run: Path, folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*.png"):
        new = tmp_path / "new" / path.parent.name / path.name.replace("p", "p9", 1)
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(path.read_bytes())
    invoke("evaluate", run, tmp_path / "new", "--permutations", 19, "--out", tmp_path / "scores.csv")
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert scores.query("metric == 'auc' and attribute == 'label'")["n_test"].tolist() == [80, 80, 80]
    assert (scores["metric"] == "reconstruction_error").sum() == 4


def test_evaluate_wants_labels_that_were_fitted_on(run: Path, folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*.png"):
        new = tmp_path / "new" / f"{path.parent.name}s" / path.name
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(path.read_bytes())
    with pytest.raises(SepVAEError, match=r"fitted on \(control, patient\), got controls, patients"):
        invoke("evaluate", run, tmp_path / "new")


def test_too_few_permutations_are_refused(run: Path) -> None:
    assert "wanted 0, or 19 or more, got 5" in invoke("evaluate", run, "--permutations", 5, status=2)


def test_report_is_written_again(run: Path, tmp_path: Path) -> None:
    own = shutil.copytree(run, tmp_path / "run")
    (own / "report.html").unlink()
    assert "report.html" in invoke("report", own)
    assert "SepVAE" in (own / "report.html").read_text()


def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SepVAEError, match="choose network cnn2d"):
        invoke("demo", "--permutations", 0, *quick_sets(network="release"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("undrawn")
def test_a_quick_fit_leaves_out_what_takes_long(folder: Path, tmp_path: Path) -> None:
    output = invoke("fit", folder, "--out", tmp_path / "run", "--background", "control", "--quick", *QUICK)
    recipe = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    assert recipe["protocol"] == {
        **{"n_permutations": 19, "scored_on": "test", "removal": False, "thumbnails": False}
    }
    assert not {"removal.csv", "thumbnails.npz"} & {path.name for path in (tmp_path / "run").iterdir()}
    stages = [
        "checking the data",
        "fitting",
        "encoding",
        "scoring",
        "examples",
        "drawing",
        "writing the page",
    ]
    lines = [line.split(":")[0] for line in output.splitlines() if line.endswith(" s")]
    assert [name for name in lines if name in stages] == stages


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn", "judged_shortly")
def test_evaluate_adds_what_a_quick_fit_left_out(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fitted = invoke("fit", folder, "--out", run, "--background", "control", "--quick", *QUICK)
    titles = [warning.title for warning in find_warnings(Contents(run))]
    found = f"{len(titles)} warnings on the page: {'; '.join(titles)}"
    assert found in fitted.splitlines()
    stages = ["checking the data", "fitting", "encoding", "scoring", "drawing", "writing the page"]
    assert [name for name in [*stages, "reading"] if f"\n{name}: " not in fitted] == ["reading"]
    with pytest.raises(SepVAEError, match="say where that is: sepvae evaluate RUN DATA --complete"):
        invoke("evaluate", run, "--complete")
    again = invoke("evaluate", run, "--out", tmp_path / "again.csv")
    assert "permutations" not in again
    assert not {"scoring: "} - {line[:9] for line in again.splitlines()}
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "again.csv"), pd.read_csv(run / "scores.csv"))
    output = invoke("evaluate", run, folder, "--complete")
    assert found in output.splitlines()
    assert f"note: p-values are of 100 permutations; those of {run} were of 19" in output.splitlines()
    assert pd.read_csv(run / "scores.csv")["p_value"].min() < 1 / 20
    assert "added: removal.csv, counterfactuals.csv, thumbnails.npz" in output
    assert pd.read_csv(run / "removal.csv")["score"].between(0, 1).all()
    assert (run / "thumbnails.npz").is_file()
    protocol = yaml.safe_load((run / "recipe.yaml").read_text())["protocol"]
    assert (protocol["removal"], protocol["thumbnails"], protocol["n_permutations"]) == (True, True, 100)
    assert "nothing was left out" in invoke("evaluate", run, folder, "--complete", "--permutations", 0)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_short_fit_trains_no_classifiers_of_removal_for_longer_than_itself(
    folder: Path, tmp_path: Path
) -> None:
    output = invoke("fit", folder, "--out", tmp_path / "run", "--background", "control", *QUICK)
    assert "removal: left out; its classifiers would take longer than this short fit" in output
    assert not (tmp_path / "run" / "removal.csv").exists()


def break_image(root: Path) -> None:
    path = next((root / "patient").glob("*.png"))
    path.write_bytes(path.read_bytes()[:80])


def one_group(root: Path) -> None:
    for path in (root / "patient").iterdir():
        path.unlink()


def no_folder(root: Path) -> None:
    root.rename(root.with_name("elsewhere"))


BAD = {
    "missing folder": (
        no_folder,
        [],
        "faces: wanted a folder with one subfolder of images per label, found nothing",
    ),
    "one group": (one_group, [], "found control; put the images of each label in a folder of its own"),
    "truncated image": (
        break_image,
        [],
        r"patient/.*\.png: cannot be read as an image .* replace or remove it",
    ),
    "background": (
        None,
        ["--background", "healthy"],
        "background: wanted one of control, patient, got 'healthy'",
    ),
    "keyword": (None, ["--set", "max_epoch=3"], "no keyword 'max_epoch'; did you mean max_epochs?"),
    "value": (None, ["--set", "kappa"], "--set: wanted KEY=VALUE, got 'kappa'"),
    "size": (
        None,
        ["--image-size", "big"],
        "--image-size: wanted pixels, such as 64 or 48x64, or voxels, such as 48x56x48, got 'big'",
    ),
    "pattern": (None, ["--pattern", "(?P<group>x"], "pattern .*: no regular expression"),
    "preset": (
        None,
        ["--preset", "papr"],
        "preset: wanted one of default, paper, background-prior, got 'papr'",
    ),
    "too small": (None, ["--set", "network=e1"], "leave nothing of images of 16 x 16"),
    "test size": (None, ["--test-size", "2"], "--test-size: wanted a share between 0 and 1, got 2"),
    "method": (None, ["--method", "MMCVAE"], r"got 'MMCVAE'; did you mean MMcVAE\?"),
    "split": (None, ["--split", "nowhere.csv"], "nowhere.csv"),
}


@pytest.fixture
def own_folder(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "faces")


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_one_line_and_leave_nothing(
    case: str,
    own_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil, options, message = BAD[case]
    if spoil is not None:
        spoil(own_folder)
    out = tmp_path / "run"
    monkeypatch.setattr(sys, "argv", ["sepvae", "fit", str(own_folder), "--out", str(out), *QUICK, *options])
    with pytest.raises(SystemExit) as exit_:
        main()
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert error.count("\n") == 1
    assert pd.Series([error]).str.contains(message).all(), error
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_one_line(
    run: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "missing" / "codes.csv"
    monkeypatch.setattr(sys, "argv", ["sepvae", "encode", str(run), str(folder), "--out", str(out)])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "there is no folder" in error


def test_an_existing_run_folder_is_left_alone(run: Path, folder: Path) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    with pytest.raises(SepVAEError, match="wanted a new run folder, but it exists"):
        invoke("fit", folder, "--out", run, *QUICK)
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before


def test_what_is_no_run_folder_is_named(folder: Path, tmp_path: Path) -> None:
    for command in (
        ["evaluate", folder],
        ["report", folder],
        ["encode", folder, folder, "--out", tmp_path / "c.csv"],
    ):
        with pytest.raises(SepVAEError, match="run folder"):
            invoke(*command)


def test_images_of_another_size_are_resized_as_the_recipe_says(run: Path, tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    Image.new("RGB", (300, 200)).save(tmp_path / "large" / "a.jpg")
    invoke("encode", run, tmp_path / "large", "--out", tmp_path / "codes.csv")
    assert len(pd.read_csv(tmp_path / "codes.csv")) == 1


def test_scores_keep_their_digits_on_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    row = {"attribute": "sex", "population": "all", "metric": "balanced_accuracy", "score": 0.5}
    row |= {"chance": 0.5, "p_value": 0.5}
    spaces = [
        {"space": "salient", "low": -0.25, "high": 0.5},
        {"space": "common", "low": -10.23, "high": 20.5},
    ]
    print_scores(pd.DataFrame([row | space for space in spaces]))
    out = capsys.readouterr().out
    assert "0.50 [-.25, .50]" in out
    assert "0.50 [-10.23, 20.50]" in out


def test_version() -> None:
    assert invoke("--version") == f"sepvae {sepvae.__version__}\n"


def test_as_a_process_help_names_the_commands_without_torch() -> None:
    code = "import sys; from sepvae.cli.app import app; app(['--help'], standalone_mode=False); "
    code += "sys.exit(bool({'torch', 'pandas', 'sklearn'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert all(command in result.stdout for command in ("demo", "fit", "encode", "evaluate", "report"))


def test_as_a_process_a_mistake_exits_with_two(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sepvae", "fit", "nowhere", "--out", str(tmp_path / "run")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("sepvae: nowhere: wanted a folder")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("nowhere", [], "nowhere: wanted a folder"),
        ("faces", ["--recipe", "pneumona"], "did you mean pneumonia?"),
        ("faces", ["--method", "SepVEA"], "did you mean SepVAE?"),
        ("faces", ["--set", "kappa"], "wanted KEY=VALUE"),
        ("faces", ["--label", "dx"], "--label has no meaning"),
        ("faces", ["--split", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_a_typing_mistake_is_answered_before_torch_is_imported(
    data: str, options: list[str], message: str, folder: Path, tmp_path: Path
) -> None:
    path = str(folder) if data == "faces" else data
    code = "import sys; from sepvae.cli.app import app\n"
    code += f"try: app({['fit', path, '--out', str(tmp_path / 'run'), *options]!r}, standalone_mode=False)\n"
    code += "except Exception as error: print(error)\n"
    code += "sys.exit('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.count("\n")) == (0, 1), result.stderr
    assert message in result.stdout


@pytest.mark.slow
def test_as_two_processes_a_fit_leaves_one_run_and_says_all_once(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "sepvae", "fit", str(folder), "--out", str(out), "--permutations", "0"]
    command += [*QUICK, *sets(accelerator="cpu", devices=2, batch_size=8)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert len(pd.read_csv(out / "metrics.csv")) == 1
    assert [result.stdout.count(words) for words in ("note: background: ", "drawing: ", "report:")] == [
        1,
        1,
        1,
    ]


def test_a_bar_is_shown_while_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("sepvae.progress.progress_bar", lambda name: nullcontext(shown.append(name)))
    load_torch()
    assert shown == ["loading PyTorch"]
    assert "sepvae.methods" in sys.modules
