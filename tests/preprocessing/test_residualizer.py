import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from sepvae.data import ArraySource
from sepvae.errors import DataError
from sepvae.preprocessing import TableScaler
from sepvae.preprocessing.residualizer import Residualizer
from sepvae.preprocessing.rows import VoxelRows


@pytest.fixture
def cohort():
    """Three features with effects of age and site, gaps in the last, and 80 controls among 120 people."""
    rng = np.random.default_rng(0)
    about = pd.DataFrame({"age": rng.normal(50, 10, 120), "site": rng.choice(["A", "B", "C"], 120)})
    about["volume"] = rng.normal(1.5e6, 1e5, 120)
    x = rng.normal(size=(120, 3)) + 0.1 * about[["age"]].to_numpy() + (about[["site"]] == "B").to_numpy()
    x[rng.random(120) < 0.2, 2] = np.nan
    return x, about, np.arange(120) < 80


@pytest.mark.parametrize("feature", [0, 1, 2])
def test_w_is_what_a_regression_on_controls_leaves(cohort, feature):
    x, about, control = cohort
    w = Residualizer().fit(x, about, control).transform(x, about)[:, feature]
    design = pd.get_dummies(about, columns=["site"]).drop(columns="site_A").to_numpy(dtype=float)
    there = ~np.isnan(x[:, feature])
    line = LinearRegression().fit(design[control & there], x[control & there, feature])
    left = x[:, feature] - line.predict(design)
    sd = np.sqrt((left[control & there] ** 2).sum() / ((control & there).sum() - 5))
    np.testing.assert_allclose(w, left / sd, rtol=1e-9, atol=1e-9)


def test_what_is_the_same_for_all_controls_has_no_effect(cohort):
    x, about, control = cohort
    dose = about.assign(dose=np.where(control, 0.1, 0.3))  # 80 times 0.1 have a deviation, of rounding
    w = Residualizer().fit(x, dose, control).transform(x, dose)
    np.testing.assert_allclose(w, Residualizer().fit(x, about, control).transform(x, about), rtol=1e-9)


def test_w_of_controls(cohort):
    x, about, control = cohort
    w = Residualizer().fit(x, about, control).transform(x, about)[control, 0]
    np.testing.assert_allclose([w.mean(), w.std(ddof=5)], [0, 1], atol=1e-9)
    np.testing.assert_allclose(np.corrcoef(w, about["age"][control])[0, 1], 0, atol=1e-9)
    np.testing.assert_allclose(pd.Series(w).groupby(about["site"][control]).mean(), 0, atol=1e-9)


def test_patients_take_no_part(cohort):
    x, about, control = cohort
    moved = np.where(control[:, None], x, x + 100)
    first, second = (Residualizer().fit(values, about, control) for values in (x, moved))
    np.testing.assert_array_equal(first.coefficients_, second.coefficients_)


def test_inverse_gives_people_back_or_an_average_control(cohort):
    x, about, control = cohort
    model = Residualizer().fit(x, about, control)
    np.testing.assert_allclose(model.inverse_transform(model.transform(x, about), about), x, rtol=1e-9)
    average = x[control, :2].mean(axis=0)  # a regression goes through the means
    np.testing.assert_allclose(model.inverse_transform(np.zeros((1, 3)))[0, :2], average, rtol=1e-9)


def test_state_brings_it_back(cohort):
    x, about, control = cohort
    model = Residualizer().fit(x, about, control)
    arrays, told = model.state()
    again = Residualizer.from_state(arrays, json.loads(json.dumps(told)))
    np.testing.assert_array_equal(again.transform(x, about), model.transform(x, about))
    np.testing.assert_array_equal(again.inverse_transform(x), model.inverse_transform(x))


def test_classes_are_the_same_as_numbers_and_as_words(cohort):
    x, about, control = cohort
    site = about["site"].map({"A": 1, "B": 2, "C": 3})
    model = Residualizer().fit(x, pd.DataFrame({"site": site}), control)
    assert model.kinds_ == {"site": "categorical"}
    w = model.transform(x, pd.DataFrame({"site": site}))
    for same in (site.astype(float), site.astype(str), site.astype(object)):
        np.testing.assert_array_equal(model.transform(x, pd.DataFrame({"site": same})), w)


def test_what_covariates_explain_wholly_is_left_out_by_the_scaler(cohort):
    x, about, control = cohort
    whole = np.column_stack([x[:, 0], 3 - about["age"] / 7, np.full(120, 0.1), np.full(120, np.nan)])
    model = Residualizer().fit(whole, about, control)
    w = model.transform(whole, about)
    assert TableScaler().fit(w).kept_.tolist() == [True, False, False, False]
    np.testing.assert_array_equal(model.scale_[1:], 1)
    np.testing.assert_allclose(model.inverse_transform(w, about)[:, :3], whole[:, :3])


def test_a_feature_that_no_control_has_any_of_keeps_its_unit(cohort):
    _, about, control = cohort
    lesion = np.where(control, 0, 2.5)[:, None]
    np.testing.assert_array_equal(Residualizer().fit(lesion, about, control).transform(lesion, about), lesion)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_units_of_measures_do_not_matter(cohort, unit):
    x, about, control = cohort
    one, other = (Residualizer().fit(v, about, control).transform(v, about) for v in (x, x * unit))
    np.testing.assert_allclose(one, other, atol=1e-9)


def refused(message, x, about, control):
    with pytest.raises(DataError, match=message):
        Residualizer(["a", "b", "c"]).fit(x, about, control).transform(x, about)


def test_refuses_covariates(cohort):
    x, about, control = cohort
    refused(
        "2 of 80 samples have no 'age'", x, about.assign(age=about["age"].where(about.index > 1)), control
    )
    refused(
        "1 of 120 samples have no 'site'",
        x,
        about.assign(site=about["site"].mask(about.index == 100)),
        control,
    )
    refused(
        "wanted numbers as 'age', got 'inf'", x, about.replace({"age": {about["age"][3]: np.inf}}), control
    )
    elsewhere = about.assign(site=about["site"].where(about.index < 117, "D"))
    refused(r"3 of 120 samples have site 'D', which no control .* has \(A, B, C\)", x, elsewhere, control)
    with pytest.raises(DataError, match="wanted a covariate 'volume' of these samples, found none"):
        Residualizer().fit(x, about, control).transform(x, about.drop(columns="volume"))
    with pytest.raises(DataError, match="wanted numbers as 'age', got 'old'"):
        Residualizer().fit(x, about, control).transform(x, about.assign(age="old"))


def test_refuses_too_few_controls(cohort):
    x, about, control = cohort
    few = np.isin(np.arange(120), np.flatnonzero(control)[:6])
    refused("wanted 7 controls or more to learn 5 coefficients of age, site, volume, got 6", x, about, few)
    sparse = x.copy()
    sparse[5:, 1] = np.nan
    refused("wanted 7 controls with feature 'b' or more .* got 5", sparse, about, control)
    sparse[:, 1] = np.where(about["site"] == "A", np.nan, x[:, 1])
    refused("no control with feature 'b' has site 'A'; leave that feature out", sparse, about, control)


def test_people_are_counted_not_scans_and_a_class_of_one_is_refused_for_volumes(cohort):
    x, about, control = cohort
    person = np.arange(120) // 20
    with pytest.raises(DataError, match=r"wanted 7 controls.* or more to learn 5 .* got \d; name fewer"):
        Residualizer().fit(x, about, control, person)
    about.loc[0, "site"] = "D"
    rows = VoxelRows(ArraySource(np.ones((120, 1, 2, 2, 2)), np.zeros(120)))
    with pytest.raises(DataError, match=r"sample 0 \(age .*, site D, volume .*\) is the only control"):
        Residualizer().fit_rows(rows, about, control)


def test_refuses_infinite_measures(cohort):
    x, about, control = cohort
    x[3, 1] = np.inf
    refused("infinite values in column 'b'", x, about, control)


def test_a_fitted_control_is_left_out_of_its_own_regression(cohort):
    x, about, control = cohort
    model = Residualizer()
    w = model.fit_transform(x, about, control)
    for i in (0, 17, 79):
        others = control & (np.arange(120) != i)
        without = Residualizer().fit(x, about, others)
        left = without.transform(x, about)[i] * without.scale_  # in the units of x
        np.testing.assert_allclose(w[i] * model.scale_, left, rtol=1e-9)
    np.testing.assert_array_equal(w[~control], model.transform(x, about)[~control])


def test_all_scans_of_a_fitted_person_are_left_out_together(cohort):
    x, about, control = cohort
    x[4, 1] = np.nan  # a gap in one scan of the person 1
    groups = np.where(np.arange(120) < 12, np.arange(120) // 3, np.arange(120))
    groups[100] = 2  # a scan of a fitted person, which is not fitted
    model = Residualizer()
    w = model.fit_transform(x, about, control, groups)
    for person in (0, 1, 2, 50):
        rows = np.flatnonzero(groups == person)
        without = Residualizer().fit(x, about, control & (groups != person))
        left = without.transform(x, about)[rows] * without.scale_
        np.testing.assert_allclose(w[rows] * model.scale_, left, rtol=1e-8)


def test_the_only_control_of_a_site_tells_nothing_of_itself(cohort):
    x, about, control = cohort
    about.loc[0, "site"] = "D"
    w = Residualizer().fit_transform(x, about, control)
    assert np.isnan(w[0]).all()
    assert not np.isnan(w[1:, :2]).any()


@pytest.mark.parametrize("scans", [1, 3])
def test_training_controls_are_as_far_out_as_training_patients(scans):
    """No true effect, 100 controls, 16 sites, 262 features: |w|^2 must not tell who was fitted on."""
    rng = np.random.default_rng(0)
    aucs = []
    for _ in range(5):
        person = np.repeat(np.arange(200), scans)
        site = np.concatenate([np.repeat(np.arange(16), 2), rng.integers(0, 16, 168)])[person]
        about = pd.DataFrame({"age": rng.normal(size=200)[person], "site": [f"s{k:02d}" for k in site]})
        control = person % 2 == 0
        x = rng.normal(size=(200, 262))[person] + rng.normal(size=(16, 262))[site]
        x += 0.3 * rng.normal(size=x.shape)
        fitted, as_new = Residualizer().fit_transform(x, about, control, person), Residualizer()
        as_new = as_new.fit(x, about, control).transform(x, about)
        aucs.append([roc_auc_score(~control, (w**2).sum(axis=1)) for w in (fitted, as_new)])
    left_out, in_sample = np.mean(aucs, axis=0)
    assert in_sample > 0.95
    assert abs(left_out - 0.5) < 0.08


def test_codes_for_missing_covariates_are_refused(cohort):
    x, about, control = cohort
    coded = about.assign(age=about["age"].where(about.index != 3, -9999))
    message = r"residualise: 1 of 120 samples have age -9999, but all others lie between .*, or leave those"
    refused(message, x, coded, control)
    refused(
        "age -9999", x, about.assign(age=about["age"].where(about.index != 119, -9999)), control
    )  # a patient
    fitted = Residualizer().fit(x, about, control)
    with pytest.raises(DataError, match="1 of 120 samples have age -9999, more than 10 standard deviations"):
        fitted.transform(x, coded)
