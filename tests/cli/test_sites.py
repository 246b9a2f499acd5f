"""Sites from the command line: harmonised in a fit, and new ones in `encode`."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sepvae.errors import DataError
from sepvae.run_folder import RunFolder

from ..helpers import invoke, linear


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 90 people of three sites, which shift three features."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("sites")
    site = np.arange(90) // 2 % 3
    table = pd.DataFrame({"participant_id": [f"sub-{i:02d}" for i in range(90)]})
    table["visit"] = table["participant_id"] + "_1"
    table["dx"] = np.where(np.arange(90) % 2, "hc", "sz")
    table["site"], table["age"] = np.array(list("ABC"))[site], rng.normal(50, 9, 90)
    table["dose"] = rng.uniform(size=90)
    table[["lh_a", "lh_b", "lh_c"]] = rng.normal(size=(90, 3)) + 2 * site[:, None]
    table.to_csv(folder / "people.csv", index=False)
    table[table["site"] != "C"].to_csv(folder / "two.csv", index=False)
    return folder / "people.csv"


@pytest.fixture(scope="module")
def run(people: Path) -> Path:
    columns = ["--features", "lh_*", "--label", "dx", "--background", "hc", "--id", "visit"]
    columns += ["--subject", "participant_id"]
    columns += ["--attribute", "site:categorical", "--attribute", "age:continuous"]
    steps = [*linear(), "--harmonise", "site", "--preserve", "age"]
    invoke("fit", people.parent / "two.csv", "--out", people.parent / "run", *columns, *steps)
    return people.parent / "run"


def encoded(run: Path, people: Path, out: Path, *options: str) -> tuple[pd.DataFrame, str]:
    said = invoke("encode", run, people, "--out", out, *options)
    return pd.read_csv(out).set_index("id"), said


def test_a_new_site_is_refused_taken_as_average_or_estimated(run: Path, people: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"30 of 90 samples have site 'C', which was not fitted \(A, B\)"):
        encoded(run, people, tmp_path / "codes.csv")
    average, _ = encoded(run, people, tmp_path / "average.csv", "--unseen-site", "reference")
    codes, said = encoded(run, people, tmp_path / "codes.csv", "--unseen-site", "estimate")
    assert "note: new sites, estimated from controls of these data: C (15)" in said
    new = (pd.read_csv(people).set_index("visit")["site"] == "C").reindex(codes.index)
    pd.testing.assert_frame_equal(codes[~new].filter(regex="0|1"), average[~new].filter(regex="0|1"))
    apart = [
        table.loc[new, "common0"].mean() - table.loc[~new, "common0"].mean() for table in (codes, average)
    ]
    assert abs(apart[0]) < 0.3 * abs(apart[1])


def test_controls_of_the_new_site_are_needed(run: Path, people: Path, tmp_path: Path) -> None:
    pd.read_csv(people).drop(columns="dx").to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(DataError, match=r"--unseen-site estimate: wanted controls \(hc\) of the new sites"):
        encoded(run, tmp_path / "new.csv", tmp_path / "codes.csv", "--unseen-site", "estimate")
    with pytest.raises(DataError, match="--unseen-site: wanted one of refuse, reference, estimate, got"):
        encoded(run, people, tmp_path / "codes.csv", "--unseen-site", "guess")


def test_covariates_are_keywords_with_options_of_their_own(people: Path, tmp_path: Path) -> None:
    columns = ["--features", "lh_*", "--label", "dx", "--background", "hc", "--attribute", "site"]
    columns += ["--attribute", "age:continuous", "--attribute", "dose:continuous"]
    typed = ["--residualise", "age", "--residualise", "dose", "--harmonise", "site", *columns]
    invoke("fit", people, "--out", tmp_path / "run", *linear(), *typed, "--quick")
    keywords = RunFolder(tmp_path / "run").recipe.required()["keywords"]
    assert (keywords["residualise"], keywords["harmonise"]) == (["age", "dose"], "site")
    with pytest.raises(DataError, match="--set residualise: --residualise names them already; leave one out"):
        invoke("fit", people, "--out", tmp_path / "again", *linear(residualise="age"), *typed)


def test_a_method_without_a_decoder_is_given_nothing(people: Path, tmp_path: Path) -> None:
    typed = "--features", "lh_*", "--label", "dx", "--attribute", "age:continuous", "--condition-on", "age"
    with pytest.raises(DataError, match="--condition-on: ContrastivePCA has no keyword 'condition_on'"):
        invoke("fit", people, "--out", tmp_path / "run", *linear(), *typed)


def test_other_commands_take_new_sites_too(run: Path, people: Path, tmp_path: Path) -> None:
    new = pd.read_csv(people).query("site == 'C'")
    new.to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(DataError, match="30 of 30 samples have site 'C', which was not fitted"):
        invoke("evaluate", run, tmp_path / "new.csv")
    quick = "--permutations", "0"
    scored = invoke("evaluate", run, tmp_path / "new.csv", "--unseen-site", "reference", *quick)
    assert "nothing is written" in scored
    with pytest.raises(DataError, match="got 'estimate'; controls who estimate a site cannot be scored"):
        invoke("evaluate", run, tmp_path / "new.csv", "--unseen-site", "estimate", *quick)
    with pytest.raises(DataError, match="--unseen-site: it is for people in DATA, got none"):
        invoke("evaluate", run, "--unseen-site", "reference", *quick)
    later = new.assign(age=new["age"] + 2, visit=new["participant_id"] + "_2")
    pd.concat([new, later]).to_csv(tmp_path / "visits.csv", index=False)
    scans = run, tmp_path / "visits.csv", "--time", "age"
    said = invoke("visits", *scans, "--unseen-site", "estimate")
    assert "note: new sites, estimated from controls of these data: C" in said
    said = invoke("maps", run, tmp_path / "new.csv", "--out", tmp_path / "maps", "--unseen-site", "estimate")
    assert "note: new sites, estimated" in said
    assert (tmp_path / "maps" / "maps.csv").is_file()


def test_held_out_people_of_a_site_that_will_not_be_fitted_are_refused_before_the_fit(
    people: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(people).rename(columns={"participant_id": "id"})
    table["split"] = np.where(table["site"] == "C", "test", "train")
    table[["id", "split"]].to_csv(tmp_path / "split.csv", index=False)
    columns = ["--features", "lh_*", "--label", "dx", "--background", "hc"]
    columns += ["--split", str(tmp_path / "split.csv")]
    columns += ["--attribute", "site:categorical", *linear(harmonise="site")]
    with pytest.raises(DataError, match=r"30 of 30 samples have site 'C', which was not fitted \(A, B\)"):
        invoke("fit", people, "--out", tmp_path / "run", *columns)
    assert not (tmp_path / "run").exists()


def test_a_run_without_sites_takes_none(regions_run: Path, regions: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--unseen-site: the run was fitted without harmonise"):
        encoded(regions_run, regions, tmp_path / "codes.csv", "--unseen-site", "estimate")
