"""Simulated cohort of cortical thickness on fsaverage5, with a known loss in patients."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.checks import check_number
from sepvae.data.simulated import SUBTYPES, check_sequences, new_cohort
from sepvae.data.simulated_brains import AGEING, RESCAN, FloatArray, Foci
from sepvae.data.simulated_files import TABLE, write_tables
from sepvae.data.simulated_people import SEXES, draw_people, draw_scans, site_names
from sepvae.data.surfaces import write_surface
from sepvae.files import whole_folder
from sepvae.progress import Progress

# All in mm of thickness.
LOSS, THINNEST = 0.6, 0.5  # at a focus at severity 1; least thickness
WALL = 1.0  # thinner parts of the template are the medial wall
AGE_EVERYWHERE, AGE_AT_FOCI, SEX = 0.08, 0.15, 0.03  # thinner per 30 years; thicker in women
SITE, VARIATION, N_VARIATIONS, NOISE = 0.05, 0.10, 8, 0.10  # standard deviations over people and vertices
# Rounds of averaging over neighbours: about 40 and 10 mm (full width at half maximum).
WIDE, NARROW = 40, 3
FILE = "{}/surf/{}h.thickness.fwhm10.fsaverage5.mgh"


class Cortex(NamedTuple):
    """The template: both hemispheres of fsaverage5, left first."""

    thickness: FloatArray  # (vertices,), mm; 0 on the medial wall
    places: FloatArray  # (vertices, 3), mm, on the pial surface
    averaging: Any  # sparse (vertices, vertices): mean of a vertex and its neighbours


def simulate_surface_cohort(
    folder: str | Path,
    *,
    n_subjects: int = 100,
    share_of_targets: float | Sequence[float] = 0.5,
    visits: Sequence[float] = (0,),
    random_state: int = 0,
    progress: Progress | None = None,
) -> Path:
    """
    Write the cortical thickness of controls and patients on fsaverage5, and the true loss.

    Thickness is that of the template, changed by eight smooth variations, by age, sex and site, and by noise.
    Patients of subtype A lose thickness in the medial temporal lobes, those of subtype B in the insulae and
    the medial frontal lobe: 0.6 mm at severity 1. The same keywords give the same files, byte for byte.

    Parameters
    ----------
    folder : str or Path
        Folder to create; it must not exist.
    n_subjects : int, default=100
        Number of controls and patients, 4 or more.
    share_of_targets, visits : object
        As in `simulate_vbm_cohort`.
    random_state : int, default=0
        Seed of the people, the variations and the noise.
    progress : callable or None, default=None
        Called as `progress(done, total)` after each scan.

    Returns
    -------
    Path
        Path of participants.tsv, as that of `simulate_vbm_cohort`. Beside it are files as FreeSurfer writes
        them, `sub-001/surf/lh.thickness.fwhm10.fsaverage5.mgh`, with several visits
        `sub-001_ses-1/surf/..`, and in `truth` the loss at severity 1, `hemi-L_desc-A_loss.shape.gii`.

    Raises
    ------
    DataError
        If the folder exists, or a keyword is out of range.

    Examples
    --------
    >>> table = simulate_surface_cohort("cohort", n_subjects=40)  # doctest: +SKIP
    """
    check_number("n_subjects", n_subjects, least=4, whole=True)
    check_number("random_state", random_state, least=0, whole=True)
    check_sequences(share_of_targets, visits)
    folder = new_cohort(folder)
    streams = [np.random.default_rng((random_state, i)) for i in range(4)]
    people = draw_people(n_subjects, share_of_targets, 0, streams[0])
    people, scans = draw_scans(people, visits, streams[1])
    cortex = read_cortex()
    inside = cortex.thickness > 0
    losses = {name: LOSS * _bumps(foci, cortex) * inside for name, foci in SUBTYPES.items()}
    usual = _usual(cortex, scans, site_names(share_of_targets), n_subjects, streams[2])
    with whole_folder(folder) as whole:
        write_tables(whole, people, scans, layout="freesurfer")
        (whole / "truth").mkdir()
        for name, loss in losses.items():
            files = [whole / f"truth/hemi-{side}_desc-{name}_loss.shape.gii" for side in "LR"]
            write_surface((files[0], files[1]), loss.reshape(2, -1))
        for i, scan in enumerate(scans.to_dict("records")):
            thickness = usual[i] + NOISE * _smooth_map(cortex, NARROW, streams[3])
            if scan["group"] == "patient":
                thickness -= scan["severity"] * losses[scan["subtype"]]
            name = str(scan.get("scan_id", scan["participant_id"]))
            _write(whole, name, thickness.clip(THINNEST) * inside)
            if progress is not None:
                progress(i + 1, len(scans))
    return folder / TABLE


@lru_cache(maxsize=1)
def read_cortex() -> Cortex:
    """Return the template, which nilearn carries."""
    from nilearn.datasets import load_fsaverage, load_fsaverage_data
    from scipy.sparse import block_diag, coo_array, diags_array, eye_array

    parts = load_fsaverage("fsaverage5")["pial"].parts.values()
    thickness = load_fsaverage_data(mesh="fsaverage5", data_type="thickness").data.parts.values()
    averages = []
    for part in parts:
        n, edges = len(part.coordinates), part.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
        near = coo_array((np.ones(len(edges)), edges.T), shape=(n, n)).tocsr()
        near = ((near + near.T + eye_array(n)) > 0).astype(float)
        averages.append(diags_array(1 / near.sum(axis=1)) @ near)
    places = np.concatenate([part.coordinates for part in parts]).astype(float)
    whole = np.concatenate([*thickness]).astype(float)
    return Cortex(whole * (whole > WALL), places, block_diag(averages, "csr"))


def _usual(
    cortex: Cortex, scans: pd.DataFrame, sites: Sequence[str], n_people: int, rng: np.random.Generator
) -> FloatArray:
    """Return the thickness of each scan (n, vertices) without disease and noise."""
    ageing = AGE_EVERYWHERE + AGE_AT_FOCI * _bumps(AGEING, cortex)
    sites_maps = [SITE * _smooth_map(cortex, WIDE, rng) for _ in sites]
    maps = [VARIATION * _smooth_map(cortex, WIDE, rng) for _ in range(N_VARIATIONS)]
    amounts = rng.normal(size=(n_people, N_VARIATIONS)).repeat(len(scans) // n_people, axis=0)
    if len(scans) > n_people:
        amounts += RESCAN * rng.normal(size=amounts.shape)
    age = (scans["age"].to_numpy(float) - 50) / 30
    women = (scans["sex"] == SEXES[0]).to_numpy(float) - 0.5
    of_sites = np.array([sites_maps[sites.index(site)] for site in scans["site"]])
    found = cortex.thickness - np.outer(age, ageing) + SEX * women[:, None] + of_sites + amounts @ maps
    return np.asarray(found)


def _bumps(foci: Foci, cortex: Cortex) -> FloatArray:
    """Return Gaussian bumps of height 1 around the foci, by distance through space; the highest counts."""
    distances = [((cortex.places - np.array(centre)) ** 2).sum(axis=1) / sd**2 for *centre, sd in foci]
    return np.asarray(np.exp(-np.min(distances, axis=0) / 2))


def _smooth_map(cortex: Cortex, rounds: int, rng: np.random.Generator) -> FloatArray:
    """Return smoothed noise (vertices,) of mean 0 and variance 1."""
    field = rng.normal(size=len(cortex.thickness))
    for _ in range(rounds):
        field = cortex.averaging @ field
    return np.asarray((field - field.mean()) / field.std())


def _write(folder: Path, name: str, thickness: npt.NDArray[np.float64]) -> None:
    """Write the thickness of a scan as FreeSurfer does."""
    from nibabel import freesurfer

    tools: Any = freesurfer  # it has no types
    for side, values in zip("lr", thickness.astype(np.float32).reshape(2, -1, 1, 1), strict=True):
        file = folder / FILE.format(name, side)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(tools.MGHImage(values, np.eye(4)).to_bytes())
