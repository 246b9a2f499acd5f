"""ComBat: the published algorithm, one person at a time, fitted people apart, new sites, volumes, storage."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from sepvae.data import ArraySource
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.preprocessing import Harmonizer, Residualizer
from sepvae.preprocessing.rows import VoxelRows


@pytest.fixture
def cohort():
    """120 people of three sites, which shift and stretch each of 40 features; age acts on all of them."""
    rng = np.random.default_rng(0)
    site = rng.integers(0, 3, 120)
    about = pd.DataFrame({"site": np.array(list("ABC"))[site], "age": rng.normal(50 + 5 * site, 10)})
    about["sex"] = rng.choice(["f", "m"], 120)
    x = 5 + rng.normal(size=(3, 40))[site] + rng.normal(size=(120, 40)) * np.array([1, 1.5, 0.7])[site, None]
    return x + 0.05 * about[["age"]].to_numpy(), about


def combat(x, about, steps=2000):
    """ComBat as Johnson et al. write it, feature by feature and sample by sample."""
    n, of_site = len(x), [np.flatnonzero(about["site"] == s) for s in sorted(set(about["site"]))]
    rest = np.column_stack([about["age"], about["sex"] == "m"])
    line = LinearRegression(fit_intercept=False)
    line.fit(np.column_stack([*(np.isin(np.arange(n), rows) for rows in of_site), rest]), x)
    alpha = sum(len(rows) / n * line.coef_[:, i] for i, rows in enumerate(of_site))
    expected = alpha + rest @ line.coef_[:, len(of_site) :].T
    residual = x - line.predict(np.column_stack([*(np.isin(np.arange(n), r) for r in of_site), rest]))
    sigma = np.sqrt((residual**2).mean(axis=0))
    z, harmonised = (x - expected) / sigma, np.empty_like(x)
    for rows in of_site:
        gamma, delta = z[rows].mean(axis=0), z[rows].var(axis=0, ddof=1)
        mean, tau2, m, s2 = gamma.mean(), gamma.var(ddof=1), delta.mean(), delta.var(ddof=1)
        a, b = (2 * s2 + m**2) / s2, (m * s2 + m**3) / s2
        for f in range(x.shape[1]):
            g, d, k = gamma[f], delta[f], len(rows)
            for _ in range(steps):
                g = (tau2 * k * gamma[f] + d * mean) / (tau2 * k + d)
                d = (b + ((z[rows, f] - g) ** 2).sum() / 2) / (a + k / 2 - 1)
            harmonised[rows, f] = (z[rows, f] - g) / np.sqrt(d) * sigma[f] + expected[rows, f]
    return harmonised


def test_it_is_combat(cohort):
    x, about = cohort
    x = x[:, :6]
    harmonised = Harmonizer("site", ["age", "sex"]).fit(x, about).transform(x, about)
    np.testing.assert_allclose(harmonised, combat(x, about, 200), atol=1e-5)


def test_sites_agree_after_it_and_age_stays(cohort):
    x, about = cohort
    harmonised = Harmonizer("site", ["age"]).fit(x, about).transform(x, about)
    slopes = LinearRegression().fit(about[["age"]], harmonised).coef_
    assert abs(slopes.mean() - 0.05) < 0.004
    left = harmonised - 0.05 * about[["age"]].to_numpy()
    of_sites = pd.DataFrame(left).groupby(about["site"])
    before = pd.DataFrame(x - 0.05 * about[["age"]].to_numpy()).groupby(about["site"])
    apart, after = (np.ptp(part.mean().to_numpy(), axis=0).mean() for part in (before, of_sites))
    assert after < 0.3 < 1 < apart
    spreads = of_sites.std().mean(axis=1)
    assert spreads.max() / spreads.min() < 1.15


def test_inverse_gives_people_back_or_keeps_the_average_site(cohort):
    x, about = cohort
    model = Harmonizer("site", ["age"]).fit(x, about)
    harmonised = model.transform(x, about)
    np.testing.assert_allclose(model.inverse_transform(harmonised, about), x, rtol=1e-12)
    np.testing.assert_array_equal(model.inverse_transform(harmonised), harmonised)


def test_people_who_are_not_fitted_change_nothing(cohort):
    x, about = cohort
    fitted = np.arange(120) < 80
    moved = np.where(fitted[:, None], x, x + 100)
    first, second = (Harmonizer("site").fit(values, about, fitted) for values in (x, moved))
    np.testing.assert_array_equal(first.shift_, second.shift_)
    np.testing.assert_allclose(second.transform(moved, about)[fitted], first.transform(x, about)[fitted])


def test_a_constant_and_a_feature_that_no_one_has_stay_as_they_are(cohort):
    x, about = cohort
    x = np.column_stack([x[:, :3], np.full(120, 7.0), np.full(120, np.nan)])
    harmonised = Harmonizer("site").fit(x, about).transform(x, about)
    np.testing.assert_allclose(harmonised[:, 3], 7)
    assert np.isnan(harmonised[:, 4]).all()
    without = Harmonizer("site").fit(x[:, :3], about).transform(x[:, :3], about)
    np.testing.assert_allclose(harmonised[:, :3], without, atol=1e-7)


def test_what_is_constant_within_each_site_tells_no_site_afterwards(cohort):
    x, about = cohort
    coil = about["site"].map({"A": 0.0, "B": 1.0, "C": 5.0}).to_numpy()
    model = Harmonizer("site")
    harmonised = model.fit_transform(np.column_stack([x, coil]), about)
    np.testing.assert_allclose(harmonised[:, -1], coil.mean())
    restored = model.inverse_transform(harmonised, about)
    np.testing.assert_allclose(restored[:, -1], coil, atol=1e-12)
    one_site = np.where((about[["site"]] == "A").to_numpy(), 0.5, x)
    refused("all people of site 'A' to fit on have the same values; take copies out", one_site, about)


def test_sites_have_one_name_in_all_parts_of_the_data(cohort):
    x, about = cohort
    field = about.assign(site=about["site"].map({"A": 1.5, "B": 3.0, "C": 7.0}))
    text = field.assign(site=field["site"].astype(str))
    model = Harmonizer("site").fit(x, field)
    assert model.sites_ == Harmonizer("site").fit(x, text).sites_ == ["1.5", "3", "7"]
    rows = np.flatnonzero(field["site"] == 3.0)[:2]
    np.testing.assert_allclose(model.transform(x[rows], field.iloc[rows]), model.transform(x, field)[rows])


def test_gaps_stay_gaps_and_are_not_fitted_on(cohort):
    x, about = cohort
    gaps = np.where(np.random.default_rng(1).random(x.shape) < 0.1, np.nan, x)
    harmonised = Harmonizer("site", ["age"]).fit(gaps, about).transform(gaps, about)
    np.testing.assert_array_equal(np.isnan(harmonised), np.isnan(gaps))
    left = harmonised - 0.05 * about[["age"]].to_numpy()
    assert np.ptp(pd.DataFrame(left).groupby(about["site"]).mean().to_numpy(), axis=0).mean() < 0.35


def test_a_fitted_person_gets_the_effects_that_the_others_of_the_site_show(cohort):
    x, about = cohort
    model = Harmonizer("site").fit(x, about)
    harmonised = model.fit_transform(x, about)
    i = 17
    site = (about["site"] == about["site"][i]).to_numpy()
    others = site & (np.arange(120) != i)
    z = (x - model.coefficients_[0]) / model.scale_
    gamma, delta = z[site].mean(axis=0), z[site].var(axis=0, ddof=1)  # the priors are those of the site
    mean, tau2, m, s2 = gamma.mean(), gamma.var(ddof=1), delta.mean(), delta.var(ddof=1)
    g, d, n = z[others].mean(axis=0), delta, others.sum()
    for _ in range(100):
        g = (tau2 * z[others].sum(axis=0) + d * mean) / (tau2 * n + d)
        d = (m + m**3 / s2 + ((z[others] - g) ** 2).sum(axis=0) / 2) / (1 + m**2 / s2 + n / 2)
    wanted = model.coefficients_[0] + model.scale_ * (z[i] - g) / np.sqrt(d)
    np.testing.assert_allclose(harmonised[i], wanted, rtol=1e-6)


def test_scans_of_a_person_at_a_site_count_as_one_and_are_left_out_together(cohort):
    x, about = cohort
    once = np.repeat(np.arange(120), 3)  # each scan three times, one of a person with a gap
    x3, about3 = x[once], about.iloc[once].reset_index(drop=True)
    x3[50, 2] = np.nan
    single, threefold = Harmonizer("site"), Harmonizer("site")
    wanted = single.fit_transform(x, about)[once]
    harmonised = threefold.fit_transform(x3, about3, groups=once)
    others = np.arange(40) != 2
    np.testing.assert_allclose(threefold.shift_[:, others], single.shift_[:, others], atol=1e-3)
    np.testing.assert_allclose(threefold.variance_[:, others], single.variance_[:, others], rtol=1e-3)
    np.testing.assert_allclose(harmonised[:, others], wanted[:, others], rtol=1e-3)
    assert np.isnan(harmonised[50, 2])
    assert np.isfinite(harmonised).sum() == harmonised.size - 1


def test_a_person_counts_once_by_the_scans_that_have_a_feature(cohort):
    x, about = cohort
    twice, about = np.repeat(x, 2, axis=0), about.loc[about.index.repeat(2)].reset_index(drop=True)
    person = np.arange(240) // 2
    twice[::2, 3] = np.nan  # every person has it in one of two scans
    model = Harmonizer("site").fit(twice, about, groups=person)
    alone = Harmonizer("site").fit(twice[1::2], about[1::2])
    np.testing.assert_allclose(model.shift_[:, 3], alone.shift_[:, 3], atol=1e-3)
    np.testing.assert_allclose(model.variance_[:, 3], alone.variance_[:, 3], rtol=1e-2)


def test_a_traveller_is_left_out_of_each_site_by_its_scans_there(cohort):
    x, about = cohort
    groups = np.arange(120)
    rows = [np.flatnonzero(about["site"] == site)[:2] for site in "AB"]
    groups[np.concatenate(rows)] = 0
    several, alone = (Harmonizer("site").fit_transform(x, about, groups=g) for g in (groups, None))
    apart = Harmonizer("site").fit_transform(
        x, about, groups=[f"{g}{s}" for g, s in zip(groups, about["site"], strict=True)]
    )
    np.testing.assert_array_equal(several, apart)
    assert np.abs(several - alone)[np.concatenate(rows)].max() > 0.01


@pytest.mark.parametrize("scans", [1, 3])
def test_fitted_controls_are_as_far_out_as_patients_without_an_effect(scans):
    """Five controls a site: the distance from the centre must not tell who was fitted on."""
    rng = np.random.default_rng(0)
    aucs = []
    for _ in range(5):
        person = np.repeat(np.arange(200), scans)
        site = person // 10
        about, control = pd.DataFrame({"site": [f"s{k:02d}" for k in site]}), person % 2 == 0
        x = rng.normal(size=(200, 100))[person] + 3 * rng.normal(size=(20, 100))[site]
        x += 0.3 * rng.normal(size=x.shape)
        fitted, as_new = Harmonizer("site").fit_transform(x, about, control, person), Harmonizer("site")
        as_new = as_new.fit(x, about, control).transform(x, about)
        aucs.append([roc_auc_score(~control, (y**2).sum(axis=1)) for y in (fitted, as_new)])
    left_out, in_sample = np.mean(aucs, axis=0)
    assert in_sample > 0.9
    assert abs(left_out - 0.5) < 0.12


def test_state_brings_it_back(cohort):
    x, about = cohort
    model = Harmonizer("site", ["age", "sex"]).fit(x, about)
    arrays, told = model.state()
    again = Harmonizer.from_state(arrays, json.loads(json.dumps(told)), "site")
    np.testing.assert_array_equal(again.transform(x, about), model.transform(x, about))
    assert again.sites_ == ["A", "B", "C"]


def test_a_new_site_is_refused_or_an_average_one_or_added_by_its_controls(cohort):
    x, about = cohort
    new = about["site"] == "C"
    model = Harmonizer("site", ["age"]).fit(x[~new], about[~new])
    with pytest.raises(DataError, match=rf"{new.sum()} of 120 samples have site 'C', which .* \(A, B\)"):
        model.transform(x, about)
    model.unseen = "reference"
    np.testing.assert_allclose(model.transform(x[new], about[new]), x[new], rtol=1e-12)
    model.unseen = "refuse"
    known = model.transform(x[~new], about[~new])
    model.add_sites(x, about)
    np.testing.assert_array_equal(model.transform(x[~new], about[~new]), known)
    left = model.transform(x, about) - 0.05 * about[["age"]].to_numpy()
    of_sites = pd.DataFrame(left).groupby(about["site"])
    assert np.ptp(of_sites.mean().to_numpy(), axis=0).mean() < 0.4
    assert of_sites.std().mean(axis=1)["C"] > 0.9


def volumes(x):
    """Return features as volumes of 4 x 4 x 4 voxels, of which a mask keeps 40."""
    mask = np.arange(64).reshape(4, 4, 4) < 40
    whole = np.full((len(x), 1, 4, 4, 4), 9.0)
    whole[:, 0, mask] = x
    return whole, Grid((4, 4, 4), np.eye(4), mask=mask)


@pytest.mark.parametrize("scans", [1, 2])
def test_volumes_are_treated_voxel_by_voxel_within_the_mask(cohort, monkeypatch, scans):
    x, about = cohort
    fitted, groups = np.arange(120) < 90, np.arange(120) // scans
    monkeypatch.setattr("sepvae.preprocessing.rows.chunk_rows", lambda _: 7)
    whole, grid = volumes(x)
    rows = VoxelRows(ArraySource(whole, np.zeros(120), grid=grid))
    model, table = Harmonizer("site", ["age"]), Harmonizer("site", ["age"])
    rows, x = (
        model.fit_rows(rows, about, fitted, groups),
        table.fit_transform(x, about, fitted, groups),
    )
    lazy = Residualizer().fit_rows(rows, about[["sex"]], fitted, groups)
    again = np.array([17, 3, 17, 100, 3])  # batches may repeat samples
    np.testing.assert_allclose(lazy.read(again), lazy.read(np.arange(120))[again], rtol=1e-9)
    read = lazy.as_source()
    whole = np.concatenate([read.take(np.arange(120)[part::5]).x for part in range(5)])
    assert (whole[:, 0, ~grid.mask] == 0).all()
    w = Residualizer().fit_transform(x, about[["sex"]], fitted, groups)
    w = np.concatenate([w[part::5] for part in range(5)])
    np.testing.assert_allclose(whole[:, 0, grid.mask], w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.shift_, table.shift_, atol=1e-9)


def test_refuses_groups_that_are_not_one_person_a_row(cohort):
    x, about = cohort
    for groups, n in ((np.arange(100), 100), ([None, *range(119)], 119)):
        with pytest.raises(DataError, match=f"groups: wanted a person for each of 120 rows, got {n}; name"):
            Harmonizer("site").fit(x, about, groups=groups)
    with pytest.raises(DataError, match=r"fitted: wanted one value for each of 120 rows, got \(7,\)"):
        Harmonizer("site").fit(x, about, np.ones(7, bool))


def refused(message, x, about, **how):
    with pytest.raises(DataError, match=message):
        Harmonizer("site", names=[f"f{i}" for i in range(40)], **how).fit(x, about)


def test_refuses_what_cannot_be_harmonised(cohort):
    x, about = cohort
    lone = about.assign(site=about["site"].where(about.index > 0, "D"))
    refused("wanted 2 people or more of each site to fit on, got 1 of 'D'; leave them out", x, lone)
    twice = about.assign(site=about["site"].where(about.index > 1, "D"))
    with pytest.raises(DataError, match="2 people or more of each site to fit on, got 1 of 'D'"):
        Harmonizer("site").fit(x, twice, groups=[0, 0, *range(1, 119)])
    field = about.assign(field=about["site"].map({"A": 1.5, "B": 3.0, "C": 3.0}))
    refused("preserve: the effects of field cannot be told from those of site", x, field, preserve=["field"])
    refused("1 of 120 samples have no 'site'", x, about.assign(site=about["site"].where(about.index > 0)))
    refused(
        "2 of 120 samples have no 'age'",
        x,
        about.assign(age=about["age"].mask(about.index < 2)),
        preserve=["age"],
    )
    refused("preserve: wanted a covariate 'field' of these samples", x, about, preserve="field")
    refused("wanted a covariate 'site' of these samples, found none", x, about.drop(columns="site"))
    refused("wanted 2 features or more that vary, got 1", x[:, :1], about)
    gap = np.where((about[["site"]] == "B").to_numpy() & (np.arange(40) == 3), np.nan, x)
    refused("0 of the fitted people of site 'B' have feature 'f3', wanted 2 or more", gap, about)
    refused("infinite values in column 'f0'", np.where(np.arange(40) == 0, np.inf, x), about)
    with pytest.raises(DataError, match="unseen: wanted one of refuse, reference"):
        Harmonizer("site", unseen="guess").fit(x, about)
