"""Brains of a simulated cohort: the template, maps of age, sex, sites and variation, scanners, an atlas."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import gaussian_filter

from sepvae.data.simulated_people import SEXES

FloatArray = npt.NDArray[np.float64]
Foci = Sequence[tuple[float, float, float, float]]  # x, y, z in MNI space and standard deviation, all in mm

# All effects but the disease act on log grey matter. Ageing: frontal, temporal, and around the ventricles.
AGEING: Foci = [(-36, 40, 12, 20), (36, 40, 12, 20), (-52, -10, -20, 18), (52, -10, -20, 18), (0, -8, 12, 16)]
AGE_EVERYWHERE, AGE_AT_FOCI = 0.04, 0.10  # lost from 50 to 80 years
SEX_FOCI: Foci = [(0, -74, 20, 25)]
SEX_EVERYWHERE, SEX_AT_FOCI = 0.03, 0.05  # surplus of men
SITE_GAIN, SITE_BIAS, SITE_SMOOTH = 0.08, 0.04, 40  # bias: SD over the brain; smoothness: mm
N_VARIATIONS, VARIATION, VARIATION_SMOOTH = 8, 0.04, 16  # SD of each over people and brain; mm
RESCAN = 0.2  # SD of a variation between scans of one person, times that between people

# At strength 1: gain 1 +- 0.1, offset +- 0.04 of the template's range, smoothness up to 8 mm.
GAIN, OFFSET, FWHM = 0.1, 0.04, 8.0
FWHM_PER_SD = float(np.sqrt(8 * np.log(2)))
BRAIN = 0.1  # grey matter of the template above which a voxel belongs to the brain


class Anatomy(NamedTuple):
    """The template in a cube around the brain."""

    grey: FloatArray  # (side, side, side), 0 outside of the brain
    mask: npt.NDArray[np.bool_]  # the brain
    affine: FloatArray  # to mm in MNI space, axes R, A, S


@lru_cache(maxsize=2)
def read_anatomy(side: int) -> Anatomy:
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
    return Anatomy(grey, mask, affine)


def draw_maps(anatomy: Anatomy, n_sites: int, rng: np.random.Generator, *, site_bias: bool) -> FloatArray:
    """Return the maps of log grey matter, (k, side, side, side): age, sex, each site (or 0), variations."""
    age = -(AGE_EVERYWHERE + AGE_AT_FOCI * bumps(AGEING, anatomy))
    sex = SEX_EVERYWHERE + SEX_AT_FOCI * bumps(SEX_FOCI, anatomy)
    gains = np.linspace(-SITE_GAIN, SITE_GAIN, n_sites)
    sites = [site_bias * (gain + SITE_BIAS * _smooth_map(anatomy, SITE_SMOOTH, rng)) for gain in gains]
    variations = [VARIATION * _smooth_map(anatomy, VARIATION_SMOOTH, rng) for _ in range(N_VARIATIONS)]
    return np.stack([age, sex, *sites, *variations])


def draw_amounts(
    scans: pd.DataFrame, sites: Sequence[str], n_people: int, rng: np.random.Generator
) -> FloatArray:
    """Return the weight of each map for each scan, (n, k); scans are sorted by person, as many for each."""
    age = (scans["age"].to_numpy(float) - 50) / 30
    sex = (scans["sex"] == SEXES[1]).to_numpy(float) - 0.5
    of_sites = [(scans["site"] == site).to_numpy(float) for site in sites]
    variations = rng.normal(size=(n_people, N_VARIATIONS))
    if len(scans) > n_people:
        variations = variations.repeat(len(scans) // n_people, axis=0)
        variations += RESCAN * rng.normal(size=variations.shape)
    return np.column_stack([age, sex, *of_sites, variations])


def draw_scanners(sites: Sequence[str], strength: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return gain, offset and smoothness (FWHM, mm) of each site, evenly spaced, each in random order."""
    even = np.linspace(-1, 1, len(sites))
    gain, offset, fwhm = (rng.permutation(even) for _ in range(3))
    columns = {"gain": 1 + GAIN * strength * gain, "offset": OFFSET * strength * offset}
    columns["fwhm"] = FWHM * strength * (1 + fwhm) / 2
    return pd.DataFrame(columns, index=pd.Index(sites, name="site")).round(4)


def scanned(image: FloatArray, scanner: "pd.Series[float]", anatomy: Anatomy) -> FloatArray:
    """Return an image as the scanner of a site shows it: smoothed, times its gain, plus its offset."""
    smooth = gaussian_filter(image, scanner["fwhm"] / FWHM_PER_SD / anatomy.affine[0, 0])
    return np.where(anatomy.mask, scanner["gain"] * smooth + scanner["offset"], 0)


def bumps(foci: Foci, anatomy: Anatomy) -> FloatArray:
    """Return Gaussian bumps of height 1 around the foci; where two meet, the higher one."""
    axes = np.indices(anatomy.grey.shape, dtype=float)
    mm = np.tensordot(anatomy.affine[:3, :3], axes, axes=1) + anatomy.affine[:3, 3, None, None, None]
    top: FloatArray = np.zeros(anatomy.grey.shape)
    for *centre, sd in foci:
        distance2 = ((mm - np.array(centre)[:, None, None, None]) ** 2).sum(axis=0)
        top = np.maximum(top, np.exp(-distance2 / (2 * sd**2)))
    return top


def parcellate(anatomy: Anatomy, n_regions: int) -> npt.NDArray[np.int16]:
    """Return an atlas (side, side, side) of compact regions 1 to n: nearest of centres far from another."""
    voxels = np.argwhere(anatomy.mask).astype(float)
    nearest, label = np.full(len(voxels), np.inf), np.zeros(len(voxels), dtype=np.int16)
    centre = voxels[0]
    for region in range(1, n_regions + 1):
        distance2 = ((voxels - centre) ** 2).sum(axis=1)
        label[distance2 < nearest] = region
        nearest = np.minimum(nearest, distance2)
        centre = voxels[nearest.argmax()]
    atlas = np.zeros(anatomy.mask.shape, dtype=np.int16)
    atlas[anatomy.mask] = label
    return atlas


def region_means(image: FloatArray, atlas: npt.NDArray[np.int16]) -> FloatArray:
    """Return the mean of an image in each region of an atlas, (n,)."""
    sums = np.bincount(atlas.ravel(), weights=image.ravel())
    return np.asarray(sums[1:] / np.bincount(atlas.ravel())[1:])


def _smooth_map(anatomy: Anatomy, smooth_mm: float, rng: np.random.Generator) -> FloatArray:
    """Return smoothed noise of mean 0 and variance 1 in the brain."""
    drawn = rng.normal(size=anatomy.grey.shape)
    field: FloatArray = gaussian_filter(drawn, smooth_mm / anatomy.affine[0, 0], mode="nearest")
    inside = field[anatomy.mask]
    scaled: FloatArray = (field - inside.mean()) / inside.std()
    return scaled
