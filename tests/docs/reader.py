"""A reader's folder: small files with the names and columns that the pages use, of the same 48 people."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sepvae.data import simulate_surface_cohort, simulate_vbm_cohort

N = 48
SMALL = {"n_subjects": N, "side": 16}


def write_reader_folder(folder: Path) -> None:
    """Write brains, images, arrays and tables; `write_surfaces` takes seconds, and is of one page."""
    _write_brains(folder)
    people = pd.read_csv(folder / "participants.tsv", sep="\t")
    patient, rng = people["group"] == "patient", np.random.default_rng(0)
    people["diagnosis"] = np.where(patient, "SCZ", "HC")
    people["dx"], people["DX_GROUP"] = people["diagnosis"], np.where(patient, 1, 2)
    people["AGE_AT_SCAN"], people["SEX"], people["SITE_ID"] = people["age"], people["sex"], people["site"]
    people["eTIV"] = rng.normal(1500, 100, size=N).round(1)
    people["ADOS_TOTAL"] = people["ados"] = (20 * people["severity"]).round()
    people.to_csv(folder / "participants.tsv", sep="\t", index=False)
    _write_tables(folder, people, rng)
    _write_images(folder, people, rng)
    (folder / "cohort").symlink_to(".")  # the name of the same cohort on some pages


def _write_brains(folder: Path) -> None:
    """Write a cohort as of BIDS and as of CAT12, new people, visits, a mask and an atlas."""
    simulate_vbm_cohort(folder, **SMALL)
    simulate_vbm_cohort(folder / "new", n_subjects=12, side=16, random_state=1)
    shutil.copy(folder / "truth" / "brain_mask.nii.gz", folder)
    for name in ("", "_GM"):
        for image in folder.glob("sub-*/anat/*.nii.gz"):
            shutil.copy(image, folder / f"{image.parts[-3]}{name}.nii.gz")
    parts = {
        "visits": {"visits": (0, 0, 1), "regions": 20},
        "cat12": {"layout": "cat12"},
    }
    for name, how in parts.items():
        simulate_vbm_cohort(folder / name, **SMALL | how)
    for image in folder.glob("visits/sub-*/ses-*"):
        shutil.move(image, folder / image.parent.name)
    for name in ("visits/scans.tsv", "cat12/mri", "cat12/report"):
        shutil.move(folder / name, folder)
    shutil.move(folder / "visits" / "atlas.nii.gz", folder / "aal.nii.gz")
    names = {"index": range(1, 21), "name": [f"Region_{i}" for i in range(1, 21)]}
    pd.DataFrame(names).to_csv(folder / "aal.csv", index=False)
    for name in ("visits", "cat12"):
        shutil.rmtree(folder / name)


def write_surfaces(folder: Path) -> None:
    """Write the thickness of the cortex of the same people."""
    simulate_surface_cohort(folder / "surfaces", n_subjects=N)
    for surfaces in folder.glob("surfaces/sub-*/surf"):
        shutil.move(surfaces, folder / surfaces.parent.name)


def write_cells(folder: Path) -> None:
    """Write cells of donors, healthy and ill, as AnnData files."""
    anndata, rng = pytest.importorskip("anndata"), np.random.default_rng(0)

    def words(*values: str) -> pd.Index:
        return pd.Index(values, dtype=object)  # anndata 0.12.6 does not write strings of pandas 3

    columns = {
        "donor": [f"d{i // 4}" for i in range(80)],
        "cell_type": ["T", "B"] * 40,
        "disease": (["healthy"] * 4 + ["ill"] * 4) * 10,
    }
    obs = pd.DataFrame({name: pd.Categorical(words(*values)) for name, values in columns.items()})
    obs["age"], var = 40 + np.arange(80) // 4, pd.DataFrame(index=words(*(f"gene{i}" for i in range(6))))
    for name in ("cells", "new"):
        obs.index = words(*(f"{name}-{i}" for i in range(80)))
        x = rng.random((80, 6), dtype=np.float32)
        anndata.AnnData(x, obs=obs, var=var).write_h5ad(folder / f"{name}.h5ad")


def _write_tables(folder: Path, people: pd.DataFrame, rng: np.random.Generator) -> None:
    """Write tables of regions: one of all measures, and those that FreeSurfer writes."""

    def measures(*names: str) -> pd.DataFrame:
        values = rng.normal(size=(N, len(names))) + people["severity"].fillna(0).to_numpy()[:, None]
        return pd.DataFrame(values, columns=list(names)).round(3)

    regions = measures("lh_insula_volume", "rh_insula_volume", "lh_volume", "rh_volume")
    pd.concat([people, regions], axis=1).to_csv(folder / "regions.csv", index=False)
    all_measures = measures(*(f"{side}_{i}" for side in ("lh", "rh", "aseg") for i in range(3)))
    pd.concat([people, all_measures], axis=1).to_csv(folder / "aparc_aseg.csv", index=False)
    for name in ("lh.aparc.thickness", "rh.aparc.thickness", "aseg"):
        first = "Measure:volume" if name == "aseg" else name
        prefix = "" if name == "aseg" else f"{name[:2]}_"
        table = measures(f"{prefix}insula{'_thickness' * bool(prefix)}", f"{prefix}other")
        table.insert(0, first, people["participant_id"])
        table.assign(eTIV=people["eTIV"]).to_csv(folder / f"{name}.tsv", sep="\t", index=False)


def _write_images(folder: Path, people: pd.DataFrame, rng: np.random.Generator) -> None:
    """Write a slice of each person, the same as one array, and X-rays named as those of Kermany et al."""
    slices = rng.integers(0, 200, size=(N, 32, 32), dtype=np.uint8)
    slices[people["group"] == "patient", 8:16, 8:16] += 50
    (folder / "slices").mkdir()
    for name, pixels in zip(people["participant_id"], slices, strict=True):
        Image.fromarray(pixels).save(folder / "slices" / f"{name}.png")
    np.save(folder / "slices.npy", slices)
    people.to_csv(folder / "slices.csv", index=False)
    for part in ("chest_xray/train", "chest_xray/test", "new_images"):
        for i in range(20):
            name = [f"IM-{i:04d}-0001", f"person{i}_bacteria_1", f"person{i}_virus_1"][
                (i % 2) * (1 + i // 2 % 2)
            ]
            file = folder / part / ("PNEUMONIA" if i % 2 else "NORMAL") / f"{part[-5:]}-{name}.jpeg"
            if part == "chest_xray/train":
                file = file.with_name(f"{name}.jpeg")
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, size=(32, 32), dtype=np.uint8)).save(file)
