"""Files of a simulated cohort: tables, images as in BIDS or CAT12, regions, and the truth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.data.nifti import compressed
from sepvae.data.simulated_brains import BRAIN, Anatomy, FloatArray

TABLE, SCANS, REGIONS, SITES = "participants.tsv", "scans.tsv", "regions.tsv", "sites.tsv"
LAYOUTS = ("bids", "cat12")
_README = f"""\
Truth of a simulated cohort (sepvae.data.simulate_vbm_cohort).
brain_mask.nii.gz: 1 where the MNI152 grey-matter template is above {BRAIN}; all maps are 0 elsewhere.
subtype-*_map.nii.gz: grey matter that the subtype takes at severity 1, in the units of the images.
A patient's image is that of a control minus severity times the map of the subtype; below 0 it is 0.
Severity (0.2 to 1) and subtype are in ../participants.tsv. Age, sex and site act alike on both groups.
"""
_ON_FILES = {
    f"../{SCANS}": "severity at each scan; it grows by severity_per_year of ../participants.tsv.",
    SITES: "the image of a site is gain times the image smoothed by fwhm (mm), plus offset, in the brain.",
    REGIONS: "means of ../regions.tsv as they would be without the effects of sites.tsv.",
}
_REPORT = """\
<?xml version="1.0" encoding="utf-8"?>
<S>
  <qualityratings>
    <IQR>{:.4f}</IQR>
  </qualityratings>
</S>
"""


def write_tables(folder: Path, people: pd.DataFrame, scans: pd.DataFrame, layout: str) -> None:
    """Write the people, and with several visits the scans; in BIDS also the sessions of each person."""
    _write(folder / TABLE, people)
    if scans is people:
        return
    _write(folder / SCANS, scans)
    if layout == "bids":
        for name, rows in scans.groupby("participant_id"):
            (folder / str(name)).mkdir()
            sessions = rows[["session_id", "age", "years", "severity"]]
            _write(folder / f"{name}/{name}_sessions.tsv", sessions)


def write_image(
    folder: Path, layout: str, scan: Mapping[Any, Any], image: FloatArray, anatomy: Anatomy, rating: float
) -> None:
    """Write the image of a scan under the name of the layout; for CAT12 also the report with its rating."""
    person = scan["participant_id"]
    name, content = scan.get("scan_id", person), _nifti(image.astype(np.float32), anatomy)
    if layout == "cat12":
        for part in ("mri", "report"):
            (folder / part).mkdir(exist_ok=True)
        (folder / f"mri/mwp1{name}.nii").write_bytes(content.to_bytes())
        (folder / f"report/cat_{name}.xml").write_text(_REPORT.format(rating), encoding="utf-8")
        return
    anat = folder / person / scan.get("session_id", "") / "anat"
    anat.mkdir(parents=True)
    (anat / f"{name}_GM.nii.gz").write_bytes(compressed(content))


def write_regions(
    folder: Path, atlas: npt.NDArray[np.int16], scans: pd.DataFrame, means: FloatArray, anatomy: Anatomy
) -> None:
    """Write the atlas and its names, and means (n, 2, regions) of scans, with and without scanners."""
    names = [f"region{i + 1:03d}" for i in range(means.shape[2])]
    (folder / "atlas.nii.gz").write_bytes(compressed(_nifti(atlas, anatomy)))
    _write(folder / "atlas.tsv", pd.DataFrame({"index": range(1, len(names) + 1), "name": names}))
    for file, values in ((folder / REGIONS, means[:, 0]), (folder / "truth" / REGIONS, means[:, 1])):
        _write(file, scans.join(pd.DataFrame(values, columns=names).round(6)))


def truth_file(folder: Path, subtype: str) -> Path:
    """Return the path of the loss of a subtype."""
    return folder / "truth" / f"subtype-{subtype}_map.nii.gz"


def write_truth(
    folder: Path, losses: Mapping[str, FloatArray], scanners: pd.DataFrame | None, anatomy: Anatomy
) -> None:
    """Write the loss of each subtype at severity 1, the brain, and the effects of scanners, if any."""
    (folder / "truth").mkdir()
    for subtype, loss in losses.items():
        truth_file(folder, subtype).write_bytes(compressed(_nifti(loss.astype(np.float32), anatomy)))
    mask = _nifti(anatomy.mask.astype(np.uint8), anatomy)
    (folder / "truth" / "brain_mask.nii.gz").write_bytes(compressed(mask))
    if scanners is not None:
        _write(folder / "truth" / SITES, scanners.reset_index())


def write_readme(folder: Path) -> None:
    """Write what the files of the truth are."""
    more = [f"{file}: {what}\n" for file, what in _ON_FILES.items() if (folder / "truth" / file).is_file()]
    (folder / "truth" / "README").write_text(_README + "".join(more), encoding="utf-8")


def _write(file: Path, table: pd.DataFrame) -> None:
    table.to_csv(file, sep="\t", index=False, na_rep="n/a", lineterminator="\n")


def _nifti(values: npt.NDArray[Any], anatomy: Anatomy) -> Any:
    """Return an image in the space of the template."""
    from nibabel import nifti1

    tools: Any = nifti1  # its functions have no types
    image = tools.Nifti1Image(values, anatomy.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(anatomy.affine, code="mni")
    image.set_qform(anatomy.affine, code="mni")
    return image
