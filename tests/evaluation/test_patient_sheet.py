"""Sheet of single people: load, centile among held-out controls, interval and nearest patients."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import ledoit_wolf

from sepvae.codes import Codes
from sepvae.evaluation.patient_sheet import centiles_over_seeds, salient_sheet, sheet_note, tells_nothing


def run_codes(n: int = 240) -> pd.DataFrame:
    """Codes of a run with n / 4 held-out controls; patients lie 5 away on the narrower axis."""
    rng = np.random.default_rng(0)
    y, held_out = np.arange(n) % 2, np.arange(n) % 4 >= 2
    salient = rng.normal(size=(n, 2)) * [4, 1] + 5 * y[:, None] * [0, 1]
    table = pd.DataFrame({"id": [f"s{i}" for i in range(n)], "group": [f"p{i}" for i in range(n)], "y": y})
    table["split"] = np.where(held_out, "test", "train")
    return table.assign(common0=0.0, salient0=salient[:, 0], salient1=salient[:, 1])


def sheet_of(means: np.ndarray, known: pd.DataFrame, sd: float = 0.1, groups: object = "new") -> pd.DataFrame:
    codes = Codes(means, means, means, np.full_like(means, 2 * np.log(sd)))
    return salient_sheet(codes, pd.Series(np.broadcast_to(groups, len(means))), known)[0]


def test_the_load_is_the_distance_of_mahalanobis_from_training_controls() -> None:
    known, point = run_codes(), np.array([[3.0, 2.0]])
    learnt = known.loc[(known["y"] == 0) & (known["split"] == "train"), ["salient0", "salient1"]].to_numpy()
    inverse = np.linalg.inv(ledoit_wolf(learnt)[0])
    expected = mahalanobis(point[0], learnt.mean(axis=0), inverse)
    assert sheet_of(point, known)["salient_load"][0] == pytest.approx(expected)


def test_centiles_are_of_held_out_controls() -> None:
    known = run_codes()
    controls = known[(known["y"] == 0) & (known["split"] == "test")]
    means = controls[["salient0", "salient1"]].to_numpy()
    sheet = sheet_of(means, known, groups=controls["group"].to_numpy())
    assert sheet["salient_centile"].mean() == pytest.approx(50)  # each among the others
    rank = sheet["salient_load"].rank() - 1
    np.testing.assert_allclose(sheet["salient_centile"], 100 * rank / (len(sheet) - 1))
    patients = known[known["y"] == 1]
    assert sheet_of(patients[["salient0", "salient1"]].to_numpy(), known)["salient_centile"].median() > 98


def test_the_interval_is_that_of_draws_near_the_posterior_mean() -> None:
    known, point = run_codes(), np.array([[0.0, 1.5]])
    drawn = point + 0.2 * np.random.default_rng(0).normal(size=(4000, 2))
    low, high = np.quantile(sheet_of(drawn, known)["salient_centile"], [0.025, 0.975])
    found = sheet_of(point, known, sd=0.2)
    assert found["salient_centile_low"][0] == pytest.approx(low, abs=4)
    assert found["salient_centile_high"][0] == pytest.approx(high, abs=4)


def test_nearest_patients_are_other_people() -> None:
    known = run_codes()
    own = known[known["id"] == "s1"]
    twice = pd.concat([known, own.assign(id="s1-again")], ignore_index=True)
    (nearest,) = sheet_of(own[["salient0", "salient1"]].to_numpy(), twice, groups="p1")["nearest_patients"]
    names = nearest.split("; ")
    assert len(set(names)) == 3
    assert not {"s1", "s1-again"} & set(names)
    assert known.set_index("id")["y"][names].tolist() == [1, 1, 1]
    (first, *_) = sheet_of(own[["salient0", "salient1"]].to_numpy(), twice)["nearest_patients"][0].split("; ")
    assert first == "s1"


def test_few_controls_give_empty_columns_and_a_line() -> None:
    codes = Codes(*[np.zeros((1, 2))] * 4)
    sheet, n = salient_sheet(codes, pd.Series(["a"]), run_codes(76))
    assert n == 19
    assert sheet.isna().all(axis=None)
    assert "as many in training whose codes vary, got 19 held-out" in sheet_note(n, sheet)
    assert sheet_note(n, sheet).endswith("This is no diagnosis.")


def test_codes_of_controls_that_do_not_vary_have_no_load() -> None:
    known = run_codes().assign(salient0=1.0, salient1=0.0)
    sheet, n = salient_sheet(Codes(*[np.ones((1, 2))] * 4), pd.Series(["a"]), known)
    assert sheet.isna().all(axis=None)
    assert "whose codes vary, got 60 held-out" in sheet_note(n, sheet)


def test_seeds_give_the_spread_of_a_centile() -> None:
    known = run_codes().assign(label="any")
    turned = known.assign(salient0=known["salient1"], salient1=-known["salient0"])
    same = centiles_over_seeds([known, turned])
    assert same["id"].tolist() == known.loc[known["split"] == "test", "id"].tolist()
    np.testing.assert_allclose(
        same["salient_centile_seeds_sd"], 0, atol=1e-9
    )  # as far from controls as before
    rng = np.random.default_rng(1)
    noisy = known.assign(salient1=known["salient1"] + rng.normal(size=len(known)))
    test = noisy[noisy["split"] == "test"]
    means = [x.loc[test.index, ["salient0", "salient1"]].to_numpy() for x in (known, noisy)]
    centiles = [
        sheet_of(mean, x, groups=test["group"].to_numpy())["salient_centile"].to_numpy(float)
        for mean, x in zip(means, (known, noisy), strict=True)
    ]
    found = centiles_over_seeds([known, noisy])
    assert found["salient_centile_seeds_low"].to_numpy() == pytest.approx(np.min(centiles, axis=0))
    assert found["salient_centile_seeds_high"].to_numpy() == pytest.approx(np.max(centiles, axis=0))
    assert found["salient_centile_seeds_sd"].to_numpy() == pytest.approx(np.std(centiles, axis=0, ddof=1))
    assert centiles_over_seeds([run_codes(76).assign(label="any")] * 2).empty


def test_a_posterior_as_wide_as_the_prior_tells_nothing_of_single_people() -> None:
    known = run_codes()
    means = known[["salient0", "salient1"]].to_numpy()
    narrow, wide = (sheet_of(means / 9, known, sd) for sd in (0.1, 5))
    assert not tells_nothing(narrow)
    assert "its interval that of the posterior" in sheet_note(60, narrow)
    assert tells_nothing(wide)
    assert sheet_note(60, wide) == (
        "salient_centile tells nothing of single people: it is among 60 held-out controls, and for "
        "100% of people its interval holds 90 centiles of 100 or more. This is no diagnosis."
    )
