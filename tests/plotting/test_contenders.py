import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb

from sepvae.errors import DataError
from sepvae.plotting.contenders import reconstruction_columns, salient_scatters
from sepvae.plotting.palette import CATEGORIES, MISSING, OTHERS, TARGET

from ..helpers import images_of

NAMES = [
    "SepVAE (paper, no CLSF)",
    "MMcVAE (default)",
    "$a_ (no formula)",
    "ConVAE",
    "A name of far more than 30 letters",
]


def table(seed=0, dim=3):
    rng = np.random.default_rng(seed)
    codes = pd.DataFrame(rng.normal(size=(60, dim)), columns=[f"salient{i}" for i in range(dim)])
    codes["y"] = np.arange(60) % 2
    finding = np.where(codes["y"] == 0, "none", np.where(np.arange(60) < 40, "virus", "bacteria"))
    label = np.where(codes["y"] == 0, "well", "ill")
    return codes.assign(finding=finding, label=label, age=rng.uniform(20, 80, 60))


def tables(n=2):
    return {name: table(seed) for seed, name in enumerate(NAMES[:n])}


def examples(n=2, channels=1):
    rng = np.random.default_rng(0)
    inputs = rng.random((6, channels, 5, 8))
    shared = {"inputs": inputs, "labels": np.array(["a", "b"] * 3), "ids": np.arange(6).astype(str)}
    return {
        name: shared | {key: rng.random(inputs.shape) for key in ("full", "common_only")}
        for name in NAMES[:n]
    }


def title(ax):
    return ax.get_title(loc="left").replace("\n", " ")


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def of_colour(ax, colour):
    return sum(
        len(dots.get_offsets())
        for dots in ax.collections
        if len(dots.get_offsets()) and {to_hex(c).upper() for c in dots.get_facecolors()} == {colour.upper()}
    )


def test_each_contender_has_a_panel_with_its_name_and_ratio():
    figure = salient_scatters(
        tables(5), "finding", ratios={NAMES[0]: 20.31, NAMES[1]: 1.794, NAMES[2]: np.nan}
    )
    assert [title(ax) for ax in figure.axes] == NAMES
    notes = [[text.get_text() for text in ax.texts] for ax in figure.axes]
    assert notes == [["variance ratio 20.3"], ["variance ratio 1.79"], [], [], []]
    assert len({ax.get_subplotspec().rowspan.start for ax in figure.axes}) == 2  # four, and one below
    figure.canvas.draw()


def test_the_background_is_grey_below_the_categories_of_targets():
    figure = salient_scatters(tables(), "finding")
    assert legend(figure) == ["background", "bacteria", "virus"]
    for ax in figure.axes:
        assert len(ax.collections[0].get_offsets()) == of_colour(ax, MISSING) == 30
        drawn = np.concatenate([dots.get_offsets() for dots in ax.collections])
        assert drawn.shape == (60, 2)


def test_every_point_has_the_look_of_its_own_category():
    codes = table(dim=1)
    codes["salient0"] = np.select(
        [codes["finding"] == "virus", codes["finding"] == "bacteria"], [5.0, -5.0], 0
    )
    (ax,) = salient_scatters({"a": codes}, "finding").axes
    targets = ax.collections[-2]  # circles
    bacteria = targets.get_offsets()[:, 0] == -5
    np.testing.assert_allclose(
        targets.get_facecolors()[bacteria, :3], [to_rgb(CATEGORIES[0])] * bacteria.sum()
    )
    assert 0 < bacteria.sum() < len(bacteria) == 30


def test_components_are_those_of_each_contender():
    codes = table()
    codes["salient1"] *= 50
    (ax, other) = salient_scatters({"a": codes, "b": table()}, "finding").axes
    drawn = np.concatenate([dots.get_offsets()[:, 0] for dots in ax.collections])
    centred = codes["salient1"] - codes["salient1"].mean()
    np.testing.assert_allclose(np.sort(np.abs(drawn)), np.sort(np.abs(centred)), atol=1)
    assert ax.get_xlabel() == "PC 1 (100 % of variance)" != other.get_xlabel()
    assert ax.get_aspect() == other.get_aspect() == 1


def test_numbers_share_one_colour_bar_and_missing_ones_are_empty_circles():
    both = tables()
    both[NAMES[0]].loc[:9, "age"] = np.nan  # five of them targets
    figure = salient_scatters(both, "age")
    first, second, bar = figure.axes
    assert legend(figure) == ["background", "no value"]
    assert bar.get_ylabel() == "age"
    assert len(first.collections[1].get_offsets()) == 5
    assert first.collections[-1].get_clim() == second.collections[-1].get_clim()


def test_a_target_coloured_by_its_label_has_the_colour_of_targets():
    figure = salient_scatters(tables(), "label")
    assert legend(figure) == ["background", "ill"]
    assert of_colour(figure.axes[0], TARGET) == 30


def test_an_attribute_without_values_and_one_dimension_can_be_drawn():
    figure = salient_scatters({"a": table(dim=1).assign(finding=None)}, "finding")
    assert legend(figure) == ["background", "no value"]
    assert figure.legends[0].legend_handles[1].get_color() == OTHERS
    assert figure.axes[0].get_xlabel() == "salient0"
    figure.canvas.draw()


def test_a_wide_legend_widens_the_figure():
    long = table().replace(
        {"virus": "pneumonia from a virus, by culture", "bacteria": "pneumonia from bacteria"}
    )
    figure = salient_scatters({"a": long}, "finding")
    figure.canvas.draw()
    extent = figure.legends[0].get_window_extent()
    assert 0 < extent.x0 < extent.x1 < figure.bbox.width


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="finding"), "SepVAE has no column 'finding'"),
        (lambda t: t[["finding", "y"]], "SepVAE: the table has no salient codes"),
        (lambda t: t[:1], "at least 2 rows, got 1 of SepVAE"),
        (lambda t: t[t["y"] == 0], "background samples only of SepVAE"),
    ],
)
def test_unusable_tables_are_refused_by_name(change, message):
    with pytest.raises(DataError, match=message):
        salient_scatters({"MMcVAE": table(), "SepVAE": change(table())}, "finding")


def test_rows_are_samples_and_columns_what_contenders_make_of_them():
    given = examples(2)
    figure = reconstruction_columns(given, background="b", n=2)
    drawn = [image.get_array() for image in images_of(figure)]
    assert len(drawn) == 4 * (1 + 2 * 3)
    shown = [1, 3, 0, 2]  # the background first
    np.testing.assert_array_equal(np.stack(drawn[:4]), given[NAMES[0]]["inputs"][shown, 0])
    for name, cells in zip(NAMES, (drawn[4:16], drawn[16:]), strict=False):
        full, common_only, difference = (np.stack(cells[column::3]) for column in range(3))
        np.testing.assert_array_equal(full, given[name]["full"][shown, 0])
        np.testing.assert_array_equal(common_only, given[name]["common_only"][shown, 0])
        np.testing.assert_allclose(difference, full - common_only)


def test_groups_contenders_and_columns_are_named():
    figure = reconstruction_columns(examples(2), background="b")
    written = [text.get_text().replace("\n", " ") for text in figure.axes[0].texts]
    three = ["full reconstruction", "common only (s = 0)", "full minus common only"]
    blocks = [NAMES[0], *three, NAMES[1], *three]
    assert written[:-3] == ["Background (b)", "Target (a)", "input", *blocks]


def test_differences_of_all_contenders_share_one_symmetric_scale():
    given = examples(5)
    figure = reconstruction_columns(given, background="a", n=3)
    limit = max(np.abs(arrays["full"] - arrays["common_only"]).max() for arrays in given.values())
    limits = [image.get_clim() for image in images_of(figure)]
    assert limits.count((-limit, limit)) == 5 * 6
    assert limits.count((0, 1)) == (2 + 5 * 2) * 6  # inputs come again in the second row of contenders


def test_images_of_three_channels_are_in_colour():
    figure = reconstruction_columns(examples(1, channels=3), background="a", n=1)
    shapes = [image.get_array().shape for image in images_of(figure)]
    assert shapes == [(5, 8, 3)] * 2 + ([(5, 8, 3)] * 2 + [(5, 8)]) * 2
    figure.canvas.draw()


def test_names_do_not_run_into_each_other():
    figure = reconstruction_columns(examples(5), background="a")
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_contenders_must_show_the_same_samples():
    given = examples(2)
    given[NAMES[1]]["ids"] = given[NAMES[1]]["ids"][::-1]
    with pytest.raises(DataError, match=r"MMcVAE \(default\) and SepVAE .* different ids"):
        reconstruction_columns(given, background="a")


@pytest.mark.parametrize(
    "draw", [lambda: salient_scatters({}, "a"), lambda: reconstruction_columns({}, background="a")]
)
def test_nothing_to_draw_is_refused(draw):
    with pytest.raises(DataError, match="no contender"):
        draw()
