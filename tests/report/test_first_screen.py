"""First screen of the page: key numbers, pictures of four people, features of tables."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sepvae.plotting.palette import LESS, MORE
from sepvae.report.contents import Contents
from sepvae.report.first_screen import key_numbers, strip, top_features


def pixel(uri):
    """The colour in the middle of a picture."""
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    return image.convert("RGB").getpixel((image.width // 2, image.height // 2))


def test_five_numbers_have_interval_chance_and_the_number_of_questions(run):
    numbers = key_numbers(Contents(run))
    assert [(one.title, one.score) for one in numbers] == [
        ("Groups from salient", "0.91"),
        ("Groups from common", "0.64"),
        ("Attribute from salient", "0.83"),
        ("Attribute from common", "0.53"),
        ("People held out", "40"),
    ]
    assert [one.cell.interval for one in numbers[:2]] == ["0.88 to 0.94", "0.56 to 0.70"]
    assert numbers[1].note == "background or target: AUC, chance 0.50; above it is a leak"
    assert numbers[2].note.endswith("balanced accuracy, chance 0.50; the best of 2 questions")
    assert numbers[3].cell.verdict == "≈ chance"
    assert numbers[4].note == "ill: 20, well: 20; 20 others to fit on"


def test_people_with_several_images_count_once(run):
    split = pd.read_csv(run / "split.csv")
    test = split["split"] == "test"
    split.loc[test, "group"] = [f"p{i // 4}" for i in range(test.sum())]
    split.to_csv(run / "split.csv", index=False)
    last = key_numbers(Contents(run))[-1]
    assert (last.score, "; 40 images; " in last.note) == ("10", True)


def test_without_attributes_two_other_scores_take_their_places(run):
    scores = pd.read_csv(run / "scores.csv")
    scores[scores["attribute"].isna() | (scores["attribute"] == "label")].to_csv(
        run / "scores.csv", index=False
    )
    titles = [one.title for one in key_numbers(Contents(run))]
    assert titles == ["Groups from salient", "Groups from common", "Spread in salient", "People held out"]


def test_a_run_without_scores_has_the_number_of_people_alone(run):
    (run / "scores.csv").unlink()
    assert [one.title for one in key_numbers(Contents(run))] == ["People held out"]


def test_the_strip_shows_the_median_control_and_targets_at_quartiles(run):
    shown = strip(Contents(run))
    assert [(one.label, one.size) for one in shown["people"]] == [
        ("well", "median"),
        ("ill", "lower quartile"),
        ("ill", "median"),
        ("ill", "upper quartile"),
    ]
    ids = np.load(run / "maps" / "people.npz")["ids"]
    assert [one.name for one in shown["people"]] == ids[[1, 3, 4, 5]].tolist()


def test_differences_have_the_colours_of_figures_on_one_scale(run):
    people = dict(np.load(run / "maps" / "people.npz"))
    people["added"] = np.array([0, 0, 0, 2, -2, 1])[:, None, None, None] * np.ones((1, 3, 8, 8))
    people["images"] = people["without"] = np.full((6, 3, 8, 8), [[[1.0]], [[0.5]], [[0.0]]])
    np.savez(run / "maps" / "people.npz", **people)
    shown = strip(Contents(run))
    none, more, less, half = (pixel(one.pictures[2]) for one in shown["people"])
    ends = [tuple(int(color[k : k + 2], 16) for k in (1, 3, 5)) for color in (MORE, LESS)]
    assert (shown["limit"], min(none)) == ("2", 246)
    for found, end in ((more, ends[0]), (less, ends[1])):
        assert np.dot(np.subtract(found, 247), np.subtract(end, 247)) > 0  # towards the end of the scale
    assert more[1] < half[1] < none[1]
    assert pixel(shown["people"][0].pictures[0]) == (255, 128, 0)


def test_runs_of_earlier_versions_do_not_say_at_quartiles(run):
    people = dict(np.load(run / "maps" / "people.npz"))
    del people["quantiles"]
    np.savez(run / "maps" / "people.npz", **people)
    shown = strip(Contents(run))
    assert (shown["chosen"], {one.size for one in shown["people"]}) == (False, {""})
    (run / "maps" / "people.npz").unlink()
    assert strip(Contents(run)) is None


@pytest.mark.parametrize("absent", [0, 1])
def test_a_group_without_held_out_people_is_left_out(run, absent):
    people = dict(np.load(run / "maps" / "people.npz"))
    kept = people["y"] != absent
    labels = people.pop("labels")
    np.savez(
        run / "maps" / "people.npz", labels=labels, **{name: value[kept] for name, value in people.items()}
    )
    assert [one.label for one in strip(Contents(run))["people"]] == (["ill"] * 3 if absent == 0 else ["well"])


def test_features_of_tables_come_by_size_of_d_with_a_place_on_a_line(run):
    table = pd.DataFrame({"feature": list("abcdefgh"), "background_mean": 0.0, "target_mean": 1.0})
    table["d"] = [0.1, -0.8, 0.2, np.nan, 0.4, 0.05, 0.3, 0.25]
    table.to_csv(run / "maps" / "regions.csv", index=False)
    rows = top_features(Contents(run))
    assert [row["feature"] for row in rows] == list("begh" + "ca")
    assert [row["marks"]["score"] for row in rows[:2]] == [0.0, 75.0]
