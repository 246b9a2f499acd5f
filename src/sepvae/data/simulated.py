"""Simulated cohort: grey-matter maps with effects of age, sex, site and a disease, and its ground truth."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import gaussian_filter

from sepvae.checks import check_number
from sepvae.data.nifti import compressed
from sepvae.errors import DataError
from sepvae.files import whole_folder
from sepvae.progress import Progress

FloatArray = npt.NDArray[np.float64]
Foci = Sequence[tuple[float, float, float, float]]  # x, y, z in MNI space and standard deviation, all in mm

# Loss of grey matter by subtype: medial temporal on both sides; both insulae and medial frontal.
SUBTYPES: dict[str, Foci] = {
    "A": [(-26, -16, -20, 14), (26, -16, -20, 14)],
    "B": [(-38, 14, 0, 13), (38, 14, 0, 13), (0, 44, 16, 16)],
}
LOSS = 0.4  # share of the template's grey matter that is lost at a focus at severity 1
SEXES = ("female", "male")
SITES = ("site1", "site2", "site3")
AGES = (20, 80)  # years

# All other effects act on log grey matter. Ageing: frontal, temporal, and around the ventricles.
AGEING: Foci = [(-36, 40, 12, 20), (36, 40, 12, 20), (-52, -10, -20, 18), (52, -10, -20, 18), (0, -8, 12, 16)]
AGE_EVERYWHERE, AGE_AT_FOCI = 0.04, 0.10  # lost from 50 to 80 years
SEX_FOCI: Foci = [(0, -74, 20, 25)]
SEX_EVERYWHERE, SEX_AT_FOCI = 0.03, 0.05  # surplus of men
SITE_GAINS, SITE_BIAS, SITE_SMOOTH = (-0.08, 0.0, 0.08), 0.04, 40  # bias: SD over the brain; smoothness: mm
N_VARIATIONS, VARIATION, VARIATION_SMOOTH = 8, 0.04, 16  # SD of each over people and brain; mm

BRAIN = 0.1  # grey matter of the template above which a voxel belongs to the brain
TABLE = "participants.tsv"
_README = """\
Truth of a simulated cohort (sepvae.data.simulate_vbm_cohort).
brain_mask.nii.gz: 1 where the MNI152 grey-matter template is above {brain}; all maps are 0 elsewhere.
subtype-*_map.nii.gz: grey matter that the subtype takes at severity 1, in the units of the images.
A patient's image is that of a control minus severity times the map of the subtype; below 0 it is 0.
Severity (0.2 to 1) and subtype are in ../participants.tsv. Age, sex and site act alike on both groups.
"""


def simulate_vbm_cohort(
    folder: str | Path,
    *,
    n_subjects: int = 200,
    side: int = 48,
    share_of_targets: float = 0.5,
    noise: float = 0.02,
    random_state: int = 0,
    progress: Progress | None = None,
) -> Path:
    """
    Write grey-matter maps of controls and patients, and the ground truth of the disease effects.

    Every map is the MNI152 grey-matter template, changed by a mixture of eight smooth variations, by age, by
    sex and by one of three sites, whose distributions are the same in controls and patients. Patients of
    subtype A lose grey matter in the medial temporal lobes, those of subtype B in the insulae and the medial
    frontal lobe: 40 % of the template at severity 1. The same keywords give the same files, byte for byte.

    Parameters
    ----------
    folder : str or Path
        Folder to create; it must not exist.
    n_subjects : int, default=200
        Number of controls and patients, 4 or more.
    side : int, default=48
        Voxels along each edge of the cube around the brain, 16 or more (of 4 mm at 48).
    share_of_targets : float, default=0.5
        Share of patients, above 0 and below 1, two people at least; half of them have each subtype.
    noise : float, default=0.02
        Standard deviation of the noise in each voxel of the brain; the template goes from 0 to 1.
    random_state : int, default=0
        Seed of the people, and of the smooth maps of variation and of sites.
    progress : callable or None, default=None
        Called as `progress(done, total)` after each subject.

    Returns
    -------
    Path
        Path of participants.tsv: participant_id, group ("control", "patient"), age (years), sex, site, and
        for patients severity (above 0.2, up to 1) and subtype ("A", "B"). Beside it are
        `sub-001/anat/sub-001_GM.nii.gz`, .. and the folder `truth` with the loss at severity 1
        (`subtype-A_map.nii.gz`, ..), `brain_mask.nii.gz` and a README.

    Raises
    ------
    DataError
        If the folder exists, or a keyword is out of range.

    Examples
    --------
    >>> table = simulate_vbm_cohort("cohort", n_subjects=40, side=24)  # doctest: +SKIP
    >>> true_map(table.parent, "sub-001").min()  # doctest: +SKIP
    """
    check_number("n_subjects", n_subjects, least=4, whole=True)
    check_number("side", side, least=16, whole=True)
    check_number("share_of_targets", share_of_targets, above=0, below=1)
    check_number("noise", noise, least=0)
    check_number("random_state", random_state, least=0, whole=True)
    folder = Path(folder)
    if folder.exists():
        raise DataError(f"{folder}: wanted a new folder for the cohort, but it exists; choose another name")
    anatomy = _anatomy(side)
    people = _people(n_subjects, share_of_targets, np.random.default_rng((random_state, 0)))
    losses = {name: LOSS * _bumps(foci, anatomy) * anatomy.grey for name, foci in SUBTYPES.items()}
    maps = _maps(anatomy, np.random.default_rng((random_state, 1)))
    amounts = _amounts(people, np.random.default_rng((random_state, 2)))
    with whole_folder(folder) as whole:
        people.to_csv(whole / TABLE, sep="\t", index=False, na_rep="n/a", lineterminator="\n")
        _write_truth(whole, losses, anatomy)
        for i, person in enumerate(people.to_dict("records")):
            image = anatomy.grey * np.exp(np.tensordot(amounts[i], maps, axes=1))
            if person["group"] == "patient":
                image -= person["severity"] * losses[person["subtype"]]
            rng = np.random.default_rng((random_state, 3, i))
            image[anatomy.mask] += noise * rng.normal(size=anatomy.mask.sum())
            name = person["participant_id"]
            (whole / f"{name}/anat").mkdir(parents=True)
            content = _nifti(np.maximum(image, 0).astype(np.float32), anatomy.affine)
            (whole / f"{name}/anat/{name}_GM.nii.gz").write_bytes(content)
            if progress is not None:
                progress(i + 1, n_subjects)
    return folder / TABLE


def true_map(folder: str | Path, participant_id: str) -> npt.NDArray[np.float32]:
    """
    Return the effect of the disease on one participant of a simulated cohort.

    Parameters
    ----------
    folder : str or Path
        Folder of the cohort.
    participant_id : str
        Name in its participants.tsv.

    Returns
    -------
    ndarray of shape (side, side, side)
        Minus severity times the map of the subtype, in the units of the images; 0 everywhere for controls.
        Exact except where an image would be below 0.

    Raises
    ------
    DataError
        If the folder holds no such cohort, or no participant of that name.
    """
    from nibabel.nifti1 import Nifti1Image

    folder = Path(folder)
    if missing := [f for f in (folder / TABLE, *(_truth(folder, s) for s in SUBTYPES)) if not f.is_file()]:
        raise DataError(f"{folder}: wanted a cohort that simulate_vbm_cohort wrote, found no {missing[0]}")
    people = pd.read_csv(folder / TABLE, sep="\t", dtype={"participant_id": str}, index_col="participant_id")
    if participant_id not in people.index:
        raise DataError(f"{folder / TABLE}: wanted a participant_id of this table, got {participant_id!r}")
    person = people.loc[participant_id].to_dict()
    ill = person["group"] == "patient"
    file = _truth(folder, person["subtype"] if ill else next(iter(SUBTYPES)))
    loss: npt.NDArray[np.float32] = Nifti1Image.from_filename(file).get_fdata(dtype=np.float32)
    return -float(person["severity"]) * loss if ill else np.zeros_like(loss)


class _Anatomy(NamedTuple):
    grey: FloatArray  # (side, side, side), 0 outside of the brain
    mask: npt.NDArray[np.bool_]  # the brain
    affine: FloatArray  # to mm in MNI space, axes R, A, S


@lru_cache(maxsize=2)
def _anatomy(side: int) -> _Anatomy:
    """Return the template in a cube that leaves about one voxel free around the brain."""
    from nilearn.datasets import load_mni152_gm_template
    from nilearn.image import resample_img, smooth_img

    template = load_mni152_gm_template(resolution=1)
    inside = np.argwhere(template.get_fdata(dtype=np.float32) > BRAIN)
    corners = (template.affine @ np.c_[[inside.min(axis=0), inside.max(axis=0)], [1, 1]].T).T[:, :3]
    voxel = np.ceil(10 * np.ptp(corners, axis=0).max() / (side - 2)) / 10  # mm
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = corners.mean(axis=0) - voxel * (side - 1) / 2
    # Smoothed first, else a voxel would sample one point of the finer template.
    smooth = smooth_img(template, fwhm=voxel)
    grey = resample_img(smooth, affine, (side,) * 3, interpolation="linear").get_fdata()
    mask = grey > BRAIN
    grey = np.where(mask, grey, 0.0)
    for array in (grey, mask, affine):
        array.flags.writeable = False  # shared by all calls
    return _Anatomy(grey, mask, affine)


def _people(n: int, share_of_targets: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return participants in random order; groups and subtypes have the same ages, sexes and sites."""
    n_patients = min(max(round(share_of_targets * n), 2), n - 2)
    sizes = {None: n - n_patients, "A": (n_patients + 1) // 2, "B": n_patients // 2}
    parts = []
    for subtype, size in sizes.items():
        ages = AGES[0] + (AGES[1] - AGES[0]) * (rng.permutation(size) + 0.5) / size
        part = pd.DataFrame({"group": "patient" if subtype else "control", "age": ages.round(1)})
        part["sex"], part["site"] = _dealt(SEXES, size, rng), _dealt(SITES, size, rng)
        part["severity"] = rng.integers(201, 1001, size) / 1000 if subtype else np.nan
        parts.append(part.assign(subtype=pd.array([subtype] * size, dtype="string")))
    table = pd.concat(parts, ignore_index=True).iloc[rng.permutation(n)].reset_index(drop=True)
    width = max(3, len(str(n)))
    table.insert(0, "participant_id", [f"sub-{i + 1:0{width}d}" for i in range(n)])
    return table


def _dealt(levels: Sequence[str], n: int, rng: np.random.Generator) -> npt.NDArray[np.str_]:
    """Return n levels in random order, each as often as the others as far as n allows."""
    rounds = [rng.permutation(np.array(levels)) for _ in range(-(-n // len(levels)))]
    return np.concatenate(rounds)[:n]


def _maps(anatomy: _Anatomy, rng: np.random.Generator) -> FloatArray:
    """Return the maps of log grey matter, (k, side, side, side): age, sex, each site, variations."""
    age = -(AGE_EVERYWHERE + AGE_AT_FOCI * _bumps(AGEING, anatomy))
    sex = SEX_EVERYWHERE + SEX_AT_FOCI * _bumps(SEX_FOCI, anatomy)
    sites = [gain + SITE_BIAS * _smooth_map(anatomy, SITE_SMOOTH, rng) for gain in SITE_GAINS]
    variations = [VARIATION * _smooth_map(anatomy, VARIATION_SMOOTH, rng) for _ in range(N_VARIATIONS)]
    return np.stack([age, sex, *sites, *variations])


def _amounts(people: pd.DataFrame, rng: np.random.Generator) -> FloatArray:
    """Return the weight of each map for each person, (n, k)."""
    age = (people["age"].to_numpy(float) - 50) / 30
    sex = (people["sex"] == SEXES[1]).to_numpy(float) - 0.5
    sites = [(people["site"] == site).to_numpy(float) for site in SITES]
    return np.column_stack([age, sex, *sites, rng.normal(size=(len(people), N_VARIATIONS))])


def _bumps(foci: Foci, anatomy: _Anatomy) -> FloatArray:
    """Return Gaussian bumps of height 1 around the foci; where two meet, the higher one."""
    axes = np.indices(anatomy.grey.shape, dtype=float)
    mm = np.tensordot(anatomy.affine[:3, :3], axes, axes=1) + anatomy.affine[:3, 3, None, None, None]
    top: FloatArray = np.zeros(anatomy.grey.shape)
    for *centre, sd in foci:
        distance2 = ((mm - np.array(centre)[:, None, None, None]) ** 2).sum(axis=0)
        top = np.maximum(top, np.exp(-distance2 / (2 * sd**2)))
    return top


def _smooth_map(anatomy: _Anatomy, smooth_mm: float, rng: np.random.Generator) -> FloatArray:
    """Return smoothed noise of mean 0 and variance 1 in the brain."""
    drawn = rng.normal(size=anatomy.grey.shape)
    field: FloatArray = gaussian_filter(drawn, smooth_mm / anatomy.affine[0, 0], mode="nearest")
    inside = field[anatomy.mask]
    scaled: FloatArray = (field - inside.mean()) / inside.std()
    return scaled


def _truth(folder: Path, subtype: str) -> Path:
    return folder / "truth" / f"subtype-{subtype}_map.nii.gz"


def _write_truth(folder: Path, losses: dict[str, FloatArray], anatomy: _Anatomy) -> None:
    (folder / "truth").mkdir()
    for subtype, loss in losses.items():
        _truth(folder, subtype).write_bytes(_nifti(loss.astype(np.float32), anatomy.affine))
    mask = _nifti(anatomy.mask.astype(np.uint8), anatomy.affine)
    (folder / "truth" / "brain_mask.nii.gz").write_bytes(mask)
    (folder / "truth" / "README").write_text(_README.format(brain=BRAIN), encoding="utf-8")


def _nifti(values: npt.NDArray[Any], affine: FloatArray) -> bytes:
    """Return a compressed NIfTI file in the space of the template."""
    from nibabel import nifti1

    tools: Any = nifti1  # its functions have no types
    image = tools.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code="mni")
    image.set_qform(affine, code="mni")
    return compressed(image)
