"""`sepvae regions`: tables, figures and the page, from a run or from maps of new people."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sepvae.data.nifti import write_volume
from sepvae.grid import Grid
from sepvae.run_folder import IMAGE, MapFolder

from ..helpers import invoke, outcome

N, SHAPE = 16, (10, 11, 12)
GRID = Grid(SHAPE, np.array([[8.0, 0, 0, -36], [0, 8, 0, -40], [0, 0, 8, -44], [0, 0, 0, 1]]))
RECIPE = "data: {reader: volumes, name: participants.tsv}\nmethod: SepVAE\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with nothing but a recipe and maps: patients lose 1 in region 2."""
    maps, rng = MapFolder(tmp_path / "run" / "maps"), np.random.default_rng(0)
    maps.path.mkdir(parents=True)
    (tmp_path / "run" / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "run" / "figures").mkdir()
    Image.new("L", (2, 2)).save(tmp_path / "run" / "figures" / "map_group.png")
    y = np.arange(N) % 2
    for i, is_target in enumerate(y):
        volume = rng.normal(0, 0.3, SHAPE) - is_target * (regions() == 2)
        write_volume(maps.volume(f"sub-{i:02d}"), volume, GRID)
    write_volume(maps.volume(IMAGE), np.ones(SHAPE), GRID)
    table = pd.DataFrame({"id": [f"secret{i}" for i in range(N)], "label": np.where(y, "2", "1"), "y": y})
    maps.samples.write(table.assign(group=table["id"], file=[f"sub-{i:02d}.nii.gz" for i in range(N)]))
    return tmp_path / "run"


@pytest.fixture
def not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("region_bars", "glass_brain", "save_figure"):
        monkeypatch.setattr(f"sepvae.runs.regions.{name}", lambda *_: None)


def regions() -> np.ndarray:
    return (np.indices(SHAPE)[0] // 3 + 1).astype(np.int16)


@pytest.fixture
def atlas(tmp_path: Path) -> Path:
    nib.save(nib.Nifti1Image(regions(), GRID.affine), tmp_path / "atlas.nii.gz")
    (tmp_path / "names.tsv").write_text("index\tname\n1\tcuneus\n2\t<b>insula</b>\n3\tprecuneus\n")
    return tmp_path / "atlas.nii.gz"


def test_a_run_gets_tables_figures_and_a_section_of_its_page(run: Path, atlas: Path) -> None:
    said = " ".join(invoke("regions", run, "--atlas", atlas, "--labels", atlas.parent / "names.tsv").split())
    assert "atlas.nii.gz: 4 of 4 regions are in the maps" in said
    assert "3 names were read, 3 of the 4 regions have one; called by their number: 4" in said
    assert "differs between the groups (1: 8, 2: 8) in 1 of 4 regions" in said
    assert "largest difference: <b>insula</b>, -1.0" in said
    groups = pd.read_csv(run / "maps" / "regions-groups.csv")
    assert groups.query("label == 2 and p_adjusted <= 0.05")["region"].tolist() == ["<b>insula</b>"]
    assert len(pd.read_csv(run / "maps" / "regions-people.csv")) == 4 * N
    figures = {file.name for file in (run / "figures").iterdir()} - {"map_group.png"}
    assert figures == {f"regions{part}.{kind}" for part in ("", "_brain") for kind in ("png", "svg")}
    page = (run / "report.html").read_text("utf-8")
    section = page.partition("<h3>By region</h3>")[2].partition("</section>")[0]
    assert "&lt;b&gt;insula&lt;/b&gt;" in section
    assert section.count("<img") == 2
    assert "maps/regions-people.csv" in section
    invoke("report", run, "--no-images", "--out", run / "shared.html")
    shared = (run / "shared.html").read_text("utf-8")
    assert "<h3>By region</h3>" in shared
    assert "secret" not in shared


@pytest.mark.usefixtures("not_drawn")
def test_maps_of_new_people_get_them_in_their_own_folder(run: Path, atlas: Path, tmp_path: Path) -> None:
    new = shutil.copytree(run / "maps", tmp_path / "new")
    said = invoke("regions", new, "--atlas", atlas)
    assert f"regions: {new}\n" in said
    assert (new / "regions-groups.csv").is_file()
    assert not (run / "maps" / "regions-groups.csv").exists()


def test_figures_of_an_older_comparison_do_not_stay(run: Path, atlas: Path) -> None:
    samples, figures = MapFolder(run / "maps").samples, run / "figures"
    (figures / "regions.png").write_bytes(b"old")
    samples.write(samples.required().assign(y=np.nan))
    assert "groups are not compared, that needs two people of each" in invoke(
        "regions", run, "--atlas", atlas
    )
    assert [file.name for file in figures.iterdir()] == ["map_group.png"]
    assert "Groups are not compared" in (run / "report.html").read_text("utf-8")


@pytest.mark.usefixtures("not_drawn")
def test_tables_of_another_atlas_are_replaced_on_request_only(run: Path, atlas: Path) -> None:
    invoke("regions", run, "--atlas", atlas)
    invoke("regions", run, "--atlas", atlas)  # of the same
    other = shutil.copy(atlas, atlas.parent / "other.nii.gz")
    status, said = outcome("regions", run, "--atlas", other)
    assert (status, "holds regions of atlas atlas.nii.gz; copy regions-*.csv" in said) == (1, True)
    assert "atlas other.nii.gz: 4 of 4" in invoke("regions", run, "--atlas", other, "--overwrite")


@pytest.mark.usefixtures("not_drawn")
def test_an_atlas_of_a_part_of_the_mask_is_said(run: Path, atlas: Path) -> None:
    maps, outside = MapFolder(run / "maps"), regions() != 1
    write_volume(maps.volume(IMAGE), outside.astype(float), GRID)
    nib.save(nib.Nifti1Image(regions() * (regions() != 2), GRID.affine), atlas)
    said = " ".join(invoke("regions", run, "--atlas", atlas, "--labels", atlas.parent / "names.tsv").split())
    assert "2 of 3 regions are in the maps; cuneus: outside of their mask" in said
    # Planes 3 to 9 of 10 are in the mask, 3 to 5 in no region.
    assert "43 % of the 924 voxels of the maps lie in no region" in said


@pytest.mark.usefixtures("not_drawn")
def test_a_mistake_is_one_line_and_leaves_older_tables(run: Path, atlas: Path, tmp_path: Path) -> None:
    invoke("regions", run, "--atlas", atlas)
    before = (run / "maps" / "regions-groups.csv").read_bytes()
    status, said = outcome("regions", run, "--atlas", "aal3")
    assert (status, "did you mean aal?" in said) == (1, True)
    assert "found nothing" in outcome("regions", run, "--atlas", atlas, "--labels", tmp_path / "no.csv")[1]
    assert "wanted maps of volumes" in outcome("regions", tmp_path, "--atlas", atlas)[1]
    assert (run / "maps" / "regions-groups.csv").read_bytes() == before
    assert (run / "maps" / "regions.json").is_file()
