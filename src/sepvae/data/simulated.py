"""Simulated cohort: grey-matter maps with effects of age, sex, site and a disease, and its ground truth."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.checks import check_choice, check_number
from sepvae.data.simulated_brains import (
    Anatomy,
    FloatArray,
    Foci,
    bumps,
    draw_amounts,
    draw_maps,
    draw_scanners,
    parcellate,
    read_anatomy,
    region_means,
    scanned,
)
from sepvae.data.simulated_files import (
    LAYOUTS,
    TABLE,
    truth_file,
    write_image,
    write_readme,
    write_regions,
    write_tables,
    write_truth,
)
from sepvae.data.simulated_people import draw_people, draw_scans, site_names
from sepvae.errors import DataError
from sepvae.files import whole_folder
from sepvae.progress import Progress

# Loss of grey matter by subtype: medial temporal on both sides; both insulae and medial frontal.
SUBTYPES: dict[str, Foci] = {
    "A": [(-26, -16, -20, 14), (26, -16, -20, 14)],
    "B": [(-38, 14, 0, 13), (38, 14, 0, 13), (0, 44, 16, 16)],
}
LOSS = 0.4  # share of the template's grey matter that is lost at a focus at severity 1


def simulate_vbm_cohort(
    folder: str | Path,
    *,
    n_subjects: int = 200,
    side: int = 48,
    share_of_targets: float | Sequence[float] = 0.5,
    age_gap: float = 0,
    site_effects: float | None = None,
    visits: Sequence[float] = (0,),
    noise: float = 0.02,
    layout: str = "bids",
    regions: int = 0,
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
    share_of_targets : float or sequence of float, default=0.5
        Share of patients, above 0 and below 1, two people at least; half of them have each subtype. A
        sequence is the share at each of as many sites of equal size, such as (0.2, 0.5, 0.8): an unequal
        case mix.
    age_gap : float, default=0
        Years by which patients are older than controls on average (App. C of the paper), above -60 and
        below 60: ages are uniform from 20 to 80 years, without the youngest patients and oldest controls.
    site_effects : float or None, default=None
        Strength of differences between scanners, 0 or more. At 1, gains of the sites go from 0.9 to 1.1,
        offsets from -0.04 to 0.04, and smoothness from 0 to 8 mm (full width at half maximum); at 0 sites
        are alike. None: sites differ by a gain alone, smooth over the brain, by 8 %.
    visits : sequence of float, default=(0,)
        Years from the first scan of each scan, ascending from 0; equal years are a scan and its rescan, as
        in (0, 0, 1, 2). Intervals vary by 15 % between people. Severity of each patient grows by 0.02 to
        0.18 a year, people grow older, and each scan has a variation of its own.
    noise : float, default=0.02
        Standard deviation of the noise in each voxel of the brain; the template goes from 0 to 1.
    layout : {"bids", "cat12"}, default="bids"
        Names of the files: `sub-001/anat/sub-001_GM.nii.gz`, or those of CAT12: `mri/mwp1sub-001.nii` and
        `report/cat_sub-001.xml` with a quality rating (IQR) that has no relation to the image.
    regions : int, default=0
        Number of regions of an atlas, up to 200; above 0, their means are written as a table, too.
    random_state : int, default=0
        Seed of the people, and of the smooth maps of variation and of sites.
    progress : callable or None, default=None
        Called as `progress(done, total)` after each scan.

    Returns
    -------
    Path
        Path of participants.tsv: participant_id, group ("control", "patient"), age (years), sex, site, and
        for patients severity (above 0.2, up to 1) and subtype ("A", "B"). Beside it are
        `sub-001/anat/sub-001_GM.nii.gz`, .. and the folder `truth` with the loss at severity 1
        (`subtype-A_map.nii.gz`, ..), `brain_mask.nii.gz` and a README.
        With several visits, participants.tsv has severity_per_year, `scans.tsv` one row a scan (scan_id,
        session_id, years, age and severity at the scan), and images are
        `sub-001/ses-1/anat/sub-001_ses-1_GM.nii.gz` or `mri/mwp1sub-001_ses-1.nii`. With `site_effects`,
        `truth/sites.tsv` has gain, offset and fwhm. With `regions`, `regions.tsv` has the means of
        `atlas.nii.gz` behind the columns of the scans, and `truth/regions.tsv` those without `site_effects`.

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
    check_number("age_gap", age_gap, above=-60, below=60)
    check_number("noise", noise, least=0)
    check_number("regions", regions, least=0, below=201, whole=True)
    check_number("random_state", random_state, least=0, whole=True)
    if site_effects is not None:
        check_number("site_effects", site_effects, least=0)
    check_sequences(share_of_targets, visits)
    check_choice("layout", layout, LAYOUTS)
    folder = new_cohort(folder)
    anatomy = read_anatomy(side)
    cohort = _draw(anatomy, n_subjects, share_of_targets, age_gap, site_effects, visits, random_state)
    atlas = parcellate(anatomy, regions) if regions else None
    means = []  # of regions, each with and without effects of scanners
    with whole_folder(folder) as whole:
        write_tables(whole, cohort.people, cohort.scans, layout)
        write_truth(whole, cohort.losses, cohort.scanners, anatomy)
        for i, images in enumerate(_images(cohort, anatomy, noise, random_state)):
            write_image(whole, layout, cohort.scans.iloc[i].to_dict(), images[0], anatomy, cohort.ratings[i])
            if atlas is not None:
                means.append([region_means(image, atlas) for image in images])
            if progress is not None:
                progress(i + 1, len(cohort.scans))
        if atlas is not None:
            write_regions(whole, atlas, cohort.scans, np.array(means), anatomy)
        write_readme(whole)
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
        Exact except where an image would be below 0, and before the effects of scanners.
        With several visits, that of the first scan.

    Raises
    ------
    DataError
        If the folder holds no such cohort, or no participant of that name.
    """
    from nibabel.nifti1 import Nifti1Image

    folder = Path(folder)
    if missing := [
        f for f in (folder / TABLE, *(truth_file(folder, s) for s in SUBTYPES)) if not f.is_file()
    ]:
        raise DataError(f"{folder}: wanted a cohort that simulate_vbm_cohort wrote, found no {missing[0]}")
    people = pd.read_csv(folder / TABLE, sep="\t", dtype={"participant_id": str}, index_col="participant_id")
    if participant_id not in people.index:
        raise DataError(f"{folder / TABLE}: wanted a participant_id of this table, got {participant_id!r}")
    person = people.loc[participant_id].to_dict()
    ill = person["group"] == "patient"
    file = truth_file(folder, person["subtype"] if ill else next(iter(SUBTYPES)))
    loss: npt.NDArray[np.float32] = Nifti1Image.from_filename(file).get_fdata(dtype=np.float32)
    return -float(person["severity"]) * loss if ill else np.zeros_like(loss)


class _Cohort(NamedTuple):
    """What a cohort is drawn from: who is scanned where, and what makes each image."""

    people: pd.DataFrame
    scans: pd.DataFrame  # n rows; the people, if each has one scan
    scanners: pd.DataFrame | None  # of each site, if they have effects
    maps: FloatArray  # (k, side, side, side), of log grey matter
    amounts: FloatArray  # (n, k)
    losses: dict[str, FloatArray]  # of each subtype, at severity 1
    ratings: FloatArray  # (n,), of quality


def _draw(
    anatomy: Anatomy,
    n_subjects: int,
    share_of_targets: float | Sequence[float],
    age_gap: float,
    site_effects: float | None,
    visits: Sequence[float],
    random_state: int,
) -> _Cohort:
    """Draw people, scans and maps, each from a stream of its own, so that one keyword changes one of them."""
    # Stream 3 is that of the noise.
    streams = {i: np.random.default_rng((random_state, i)) for i in (0, 1, 2, 4, 5, 6)}
    sites = site_names(share_of_targets)
    people = draw_people(n_subjects, share_of_targets, age_gap, streams[0])
    people, scans = draw_scans(people, visits, streams[4])
    maps = draw_maps(anatomy, len(sites), streams[1], site_bias=site_effects is None)
    amounts = draw_amounts(scans, sites, n_subjects, streams[2])
    scanners = None if site_effects is None else draw_scanners(sites, site_effects, streams[5])
    losses = {name: LOSS * bumps(foci, anatomy) * anatomy.grey for name, foci in SUBTYPES.items()}
    ratings = streams[6].normal(2, 0.3, len(scans)).clip(1)
    return _Cohort(people, scans, scanners, maps, amounts, losses, ratings)


def _images(
    cohort: _Cohort, anatomy: Anatomy, noise: float, random_state: int
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield the image of each scan, and the same without effects of scanners."""
    for i, scan in enumerate(cohort.scans.to_dict("records")):
        image = anatomy.grey * np.exp(np.tensordot(cohort.amounts[i], cohort.maps, axes=1))
        if scan["group"] == "patient":
            image -= scan["severity"] * cohort.losses[scan["subtype"]]
        added = np.zeros_like(image)
        rng = np.random.default_rng((random_state, 3, i))
        added[anatomy.mask] = noise * rng.normal(size=anatomy.mask.sum())
        seen = image
        if cohort.scanners is not None:
            seen = scanned(image, cohort.scanners.loc[scan["site"]], anatomy)
        yield np.maximum(seen + added, 0), np.maximum(image + added, 0)


def new_cohort(folder: str | Path) -> Path:
    """Return the path of a cohort to write; raise if it exists."""
    if (folder := Path(folder)).exists():
        raise DataError(f"{folder}: wanted a new folder for the cohort, but it exists; choose another name")
    return folder


def check_sequences(share_of_targets: float | Sequence[float], visits: Sequence[float]) -> None:
    """Raise unless shares are between 0 and 1, and visits ascend from 0."""
    shares = share_of_targets if isinstance(share_of_targets, Sequence) else [share_of_targets] * 2
    if len(shares) < 2:
        wanted = "wanted one number, or one for each of two sites or more"
        raise DataError(f"share_of_targets: {wanted}, got {share_of_targets!r}")
    for share in shares:
        check_number("share_of_targets", share, above=0, below=1)
    years = np.asarray(visits, dtype=float)
    if years.ndim != 1 or not len(years) or years[0] != 0 or not (np.diff(years) >= 0).all():
        raise DataError(f"visits: wanted years that ascend from 0, such as (0, 1, 2), got {visits!r}")
