import base64
import hashlib
import html
import re

import pytest

from sepvae.errors import RunFolderError
from sepvae.report import write_report
from sepvae.report.contents import Contents
from sepvae.report.html import scripts_within
from sepvae.run_folder import EFFECT, IMAGE

from ..helpers import slices_shown


def frame_of(run, **how):
    """The page within the page."""
    found = re.findall(r'<iframe [^>]*srcdoc="([^"]*)"', write_report(run, **how).read_text("utf-8"))
    return [html.unescape(frame) for frame in found]


def test_the_viewer_starts_at_the_peak_turned_to_ras(mapped_run):
    shown = slices_shown(Contents(mapped_run).viewer())
    assert shown in ({"X": 4, "Y": 5, "Z": 6}, {"X": 3, "Y": 4, "Z": 5})


def test_the_page_holds_the_viewer_as_text_and_allows_its_scripts_only(mapped_run):
    page = write_report(mapped_run).read_text("utf-8")
    (frame,) = frame_of(mapped_run)
    scripts = scripts_within(frame)
    assert len(scripts) == 4
    assert frame.count("</script") == 4
    policy = re.search(r'content="(default-src[^"]*)"', page)[1]
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"sha256-{digest}" in html.unescape(policy)
    assert 'sandbox="allow-scripts"' in page
    assert len(re.findall("<script", page)) == 3  # those of the scatter


def test_maps_of_groups_stay_without_images(mapped_run):
    assert frame_of(mapped_run, images=False) == frame_of(mapped_run)


@pytest.mark.parametrize("name", [EFFECT, IMAGE])
def test_a_viewer_needs_both_maps(mapped_run, name):
    (mapped_run / "maps" / f"{name}.nii.gz").unlink()
    assert Contents(mapped_run).viewer() is None
    assert frame_of(mapped_run) == []


def test_a_damaged_map_is_named_and_the_old_page_stays(mapped_run):
    (mapped_run / "report.html").write_text("old")
    (mapped_run / "maps" / f"{EFFECT}.nii.gz").write_bytes(b"no volume")
    with pytest.raises(RunFolderError, match=rf"{EFFECT}\.nii\.gz is damaged") as error:
        write_report(mapped_run)
    assert "\n" not in str(error.value)
    assert (mapped_run / "report.html").read_text() == "old"
