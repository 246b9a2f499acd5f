"""FreeSurfer measures of ABIDE: read by pattern, age and site taken out, diagnosis read from what is left."""

from pathlib import Path

import numpy as np
import pytest

from sepvae.data import ArraySource, read_regions, split
from sepvae.data.splits import leave_out_folds, make_folds
from sepvae.errors import DataError
from sepvae.methods import ContrastivePCA

COVARIATES = {"AGE_AT_SCAN": "continuous", "SEX": "categorical", "SITE_ID": "categorical"}


@pytest.fixture(scope="module")
def regions(real_data: Path) -> ArraySource:
    table = real_data / "abide-fs6" / "abide1_fs6_aparc_aseg_pheno.csv"
    features = ["lh_*", "rh_*", "aseg_*"]
    return read_regions(table, features=features, label="DX_GROUP", id="SUB_ID", attributes=COVARIATES)


@pytest.mark.real_data
def test_measures_are_chosen_by_pattern_and_covariates_are_none(regions: ArraySource) -> None:
    assert regions.x.shape == (826, 263)
    assert not set(COVARIATES) & set(regions.feature_names)


@pytest.mark.real_data
def test_age_and_site_are_gone_from_controls_when_they_are_taken_out(regions: ArraySource) -> None:
    train, _ = split(regions.labels, regions.groups, random_state=0)
    source = regions.select(train)
    model = ContrastivePCA(8, 8, background="2", residualise=list(COVARIATES)).fit(source)
    codes = model.transform(source)[source.labels == "2"]
    age = source.attributes["AGE_AT_SCAN"].to_numpy()[source.labels == "2"]
    assert np.abs(np.corrcoef(codes.T, age)[-1, :-1]).max() < 1e-3
    plain = ContrastivePCA(8, 8, background="2").fit(source).transform(source)[source.labels == "2"]
    assert np.abs(np.corrcoef(plain.T, age)[-1, :-1]).max() > 0.2


@pytest.mark.real_data
def test_a_site_that_was_left_out_cannot_be_taken_out(regions: ArraySource) -> None:
    folds, never = leave_out_folds(regions.labels, regions.groups, regions.attributes["SITE_ID"].to_numpy())
    assert len(folds) == 16
    assert not never
    train, test = (regions.select(part) for part in folds[0])
    model = ContrastivePCA(4, 4, background="2", residualise=["SITE_ID"]).fit(train)
    with pytest.raises(DataError, match=str(test.attributes["SITE_ID"].iloc[0])):
        model.encode(test)


@pytest.mark.real_data
def test_folds_share_sites_and_diagnoses_alike(regions: ArraySource) -> None:
    site = regions.attributes["SITE_ID"].to_numpy()
    for _, test in make_folds(regions.labels, regions.groups, 5, stratify=site):
        assert abs((regions.labels[test] == "1").mean() - 391 / 826) < 0.02
        assert abs((site[test] == "NYU").mean() - 175 / 826) < 0.02
