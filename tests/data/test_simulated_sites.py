"""A simulated cohort of several sites and visits: images, regions and truth fit together."""

from xml.etree import ElementTree

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from sepvae.data import DataSpec, load, simulate_vbm_cohort, true_map
from sepvae.errors import DataError

SITES = {"share_of_targets": (0.3, 0.7), "site_effects": 1, "regions": 12}
VISITS = {"n_subjects": 8, "side": 16, "visits": (0, 0, 2)}


def read(file):
    return pd.read_csv(file, sep="\t", dtype={"participant_id": str})


def means(table):
    return table.filter(like="region").to_numpy()


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sites") / "cohort"
    return simulate_vbm_cohort(folder, n_subjects=24, side=24, random_state=1, **SITES).parent


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    return simulate_vbm_cohort(tmp_path_factory.mktemp("visits") / "cohort", **VISITS).parent


def test_regions_of_a_site_have_its_gain_and_offset(sites):
    scanners = read(sites / "truth" / "sites.tsv").set_index("site")
    seen, true = read(sites / "regions.tsv"), read(sites / "truth" / "regions.tsv")
    for site, rows in seen.groupby("site").groups.items():
        pairs = zip(means(seen.loc[rows]).T, means(true.loc[rows]).T, strict=True)
        lines = [np.polyfit(x, y, 1) for y, x in pairs]
        atol = 0.03 if scanners.loc[site, "fwhm"] else 0.005  # 8 mm blur the edge of the brain
        np.testing.assert_allclose(np.mean(lines, axis=0), scanners.loc[site, ["gain", "offset"]], atol=atol)
    assert scanners.to_dict("list") == {"gain": [0.9, 1.1], "offset": [0.04, -0.04], "fwhm": [8, 0]}


def test_regions_are_means_of_the_atlas(sites):
    atlas = nib.load(sites / "atlas.nii.gz").get_fdata()
    names, table = read(sites / "atlas.tsv")["name"].tolist(), read(sites / "regions.tsv")
    assert table.filter(like="region").columns.tolist() == names
    assert set(np.unique(atlas)) == set(range(13))
    np.testing.assert_array_equal(atlas > 0, nib.load(sites / "truth" / "brain_mask.nii.gz").get_fdata() > 0)
    image = nib.load(sites / "sub-003/anat/sub-003_GM.nii.gz").get_fdata()
    np.testing.assert_allclose(means(table)[2, 4], image[atlas == 5].mean(), atol=1e-6)


def test_strength_0_leaves_sites_alike(tmp_path):
    alike = {"n_subjects": 12, "side": 16, "regions": 5, "noise": 0}
    cohort = simulate_vbm_cohort(tmp_path / "cohort", site_effects=0, **alike).parent
    np.testing.assert_array_equal(
        means(read(cohort / "regions.tsv")), means(read(cohort / "truth/regions.tsv"))
    )
    assert (read(cohort / "truth" / "sites.tsv")[["gain", "offset", "fwhm"]] == [1, 0, 0]).all(axis=None)
    other = simulate_vbm_cohort(tmp_path / "other", **alike).parent  # a gain of 8 %, smooth over the brain
    ratio = means(read(other / "regions.tsv")) / means(read(cohort / "regions.tsv"))
    sites = read(other / "participants.tsv").groupby("site").groups
    assert [ratio[rows].mean().round(1) for rows in sites.values()] == [0.9, 1.0, 1.1]


def test_visits_are_read_as_scans_of_one_person(visits):
    spec = DataSpec(
        images="{participant_id}/{session_id}/anat/{scan_id}_GM.nii.gz",
        **{"label": "group", "id": "scan_id", "subject": "participant_id", "attribute": ["age", "years"]},
    )
    source = load(visits / "scans.tsv", spec)
    assert len(source) == 24
    assert len(set(source.groups)) == 8
    sessions = read(visits / "sub-002" / "sub-002_sessions.tsv")
    assert sessions["session_id"].tolist() == ["ses-1", "ses-2", "ses-3"]
    assert sessions["years"].tolist()[:2] == [0, 0]


def test_a_rescan_differs_less_than_people_do(visits):
    scans = read(visits / "scans.tsv")
    names = scans["participant_id"] + "/" + scans["session_id"] + "/anat/" + scans["scan_id"] + "_GM.nii.gz"
    images = np.stack([nib.load(visits / name).get_fdata().ravel() for name in names]).reshape(8, 3, -1)
    between = ((images[:-1, 0] - images[1:, 0]) ** 2).mean()
    assert 0 < ((images[:, 0] - images[:, 1]) ** 2).mean() < between / 2


def test_disease_and_age_go_on_between_visits(visits):
    scans, people = read(visits / "scans.tsv"), read(visits / "participants.tsv")
    patient = people[people["group"] == "patient"].iloc[0]
    rows = scans[scans["participant_id"] == patient["participant_id"]]
    assert rows["severity"].iloc[2] > rows["severity"].iloc[0] == patient["severity"]
    assert true_map(visits, patient["participant_id"]).min() < 0
    assert "scans.tsv: severity at each scan" in (visits / "truth" / "README").read_text()


def test_layout_of_cat12(tmp_path):
    cohort = simulate_vbm_cohort(
        tmp_path / "cohort", layout="cat12", n_subjects=4, side=16, visits=(0, 1)
    ).parent
    scans = read(cohort / "scans.tsv")["scan_id"]
    assert sorted(file.name for file in (cohort / "mri").iterdir()) == [f"mwp1{name}.nii" for name in scans]
    assert nib.load(cohort / "mri" / "mwp1sub-001_ses-1.nii").shape == (16, 16, 16)
    reports = [ElementTree.parse(cohort / f"report/cat_{name}.xml") for name in scans]  # noqa: S314
    ratings = [float(report.findtext("qualityratings/IQR")) for report in reports]
    assert all(1 <= rating < 4 for rating in ratings)
    assert len(set(ratings)) == 8


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"share_of_targets": (0.5,)}, r"share_of_targets: wanted one number, or .* got \(0.5,\)"),
        ({"share_of_targets": (0.5, 1)}, "share_of_targets: wanted a number above 0 and below 1, got 1"),
        ({"site_effects": -1}, "site_effects: wanted a number of 0 or more, got -1"),
        ({"age_gap": 60}, "age_gap: wanted a number above -60 and below 60, got 60"),
        ({"visits": (1, 2)}, r"visits: wanted years that ascend from 0, such as \(0, 1, 2\), got \(1, 2\)"),
        ({"visits": ()}, "visits: wanted years"),
        ({"visits": (0, 2, 1)}, "visits: wanted years"),
        ({"layout": "spm"}, "layout: wanted one of bids, cat12, got 'spm'"),
        ({"regions": 201}, "regions: wanted a whole number of 0 or more and below 201, got 201"),
    ],
)
def test_keywords_refused(tmp_path, keywords, message):
    with pytest.raises(DataError, match=message):
        simulate_vbm_cohort(tmp_path / "cohort", **keywords)
    assert not list(tmp_path.iterdir())
