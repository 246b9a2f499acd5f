import numpy as np
import pytest

from sepvae.errors import RunFolderError
from sepvae.report import write_report


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("recipe.yaml", "a: [1", "damaged"),
        ("recipe.yaml", "just words", "damaged"),
        ("recipe.yaml", "[" * 5000, "damaged"),
        ("versions.json", "{", "damaged"),
        ("scores.csv", "", "damaged"),
        ("scores.csv", "space,score\nsalient,1\n", "lacks columns attribute"),
        ("metrics.csv", "epoch,train_loss\n0,much\n", "train_loss holds something that is no number"),
        ("codes.csv", "id,group,label,split,y,common0,salient0\na,a,w,test,0,1,x\n", "salient0 holds"),
        ("removal.csv", "attribute\nlabel\n", "lacks columns images"),
        ("check.json", "{}", "damaged .*findings"),
        ("check.json", '{"findings": [{"level": "grave", "message": "m"}]}', "no level"),
        ("check.json", '{"findings": ["word"]}', "no message"),
        ("examples.npz", "PK", "damaged"),
        ("thumbnails.npz", "", "damaged"),
        ("figures/swaps.png", "GIF", "no PNG image"),
    ],
)
def test_a_damaged_file_is_named_in_one_line_and_the_old_page_stays(run, name, content, message):
    (run / "report.html").write_text("old")
    (run / name).write_text(content)
    with pytest.raises(RunFolderError, match=message) as error:
        write_report(run)
    assert str(run / name) in str(error.value)
    assert "\n" not in str(error.value)
    assert (run / "report.html").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("images", np.zeros((6, 8, 8))),
        ("added", np.zeros((6, 1, 8, 9))),
        ("ids", np.array(["a"])),
        ("y", np.full(6, 7)),
        ("without", np.full((6, 1, 8, 8), "a")),
        ("quantiles", np.zeros(2)),
    ],
)
def test_people_of_another_shape_are_refused(run, name, value):
    file = run / "maps" / "people.npz"
    np.savez(file, **{**np.load(file), name: value})
    with pytest.raises(RunFolderError, match=r"people.npz is damaged \(wanted floats"):
        write_report(run)


def test_thumbnails_of_another_shape_are_refused(run):
    np.savez(run / "thumbnails.npz", ids=np.array(["a"]), images=np.zeros((1, 2, 4, 4), np.uint8))
    with pytest.raises(RunFolderError, match=r"thumbnails.npz is damaged \(images: wanted uint8"):
        write_report(run)
