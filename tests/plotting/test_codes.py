import numpy as np
import pandas as pd
import pytest

from sepvae.errors import DataError
from sepvae.plotting import code_scatter
from sepvae.plotting.palette import BACKGROUND, MISSING, TARGET


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(90, 5)) * [1, 0.1, 1, 0.1, 0.1]
    table = pd.DataFrame(codes, columns=["common0", "common1", "salient0", "salient1", "salient2"])
    table["y"] = np.arange(90) % 2
    return table.assign(label=np.where(table["y"], "ill", "well"), age=rng.uniform(20, 80, 90))


def points(ax):
    return np.concatenate([collection.get_offsets() for collection in ax.collections])


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_planted_component_lies_on_the_first_axis(table):
    direction = np.array([0.0, 3.0, 4.0]) / 5
    planted = np.linspace(-50, 50, 90)
    table[["salient0", "salient1", "salient2"]] += planted[:, None] * direction
    common, salient = code_scatter(table, "label").axes
    assert np.corrcoef(np.sort(points(salient)[:, 0]), planted)[0, 1] > 0.999
    assert salient.get_xlabel() == "PC 1 (100 % of variance)"
    assert salient.get_title(loc="left") == "Salient space (3 dimensions)"
    assert common.get_aspect() == salient.get_aspect() == 1


def test_the_background_comes_first_in_legend_and_colours(table):
    figure = code_scatter(table, "label")
    assert legend(figure) == ["well (45)", "ill (45)"]
    assert [handle.get_color() for handle in figure.legends[0].legend_handles] == [BACKGROUND, TARGET]


def test_many_numbers_get_a_colour_bar_and_missing_ones_are_grey(table):
    table.loc[:9, "age"] = np.nan
    figure = code_scatter(table, "age")
    missing, known = figure.axes[0].collections
    assert (len(missing.get_offsets()), len(known.get_offsets())) == (10, 80)
    np.testing.assert_array_equal(np.sort(known.get_array()), np.sort(table["age"].dropna()))
    assert legend(figure) == ["no value (10)"]
    assert figure.axes[2].get_ylabel() == "age"


def test_missing_categories_are_grey(table):
    table["subtype"] = np.where(table["y"], "$a_", None)
    figure = code_scatter(table, "subtype")
    assert legend(figure) == ["$a_ (45)", "no value (45)"]
    assert figure.legends[0].legend_handles[-1].get_color() == MISSING
    figure.canvas.draw()


def test_numbers_are_in_order_and_rare_categories_share_a_look(table):
    assert legend(code_scatter(table.assign(site=np.arange(90.0) % 10), "site"))[:2] == ["0 (9)", "1 (9)"]
    figure = code_scatter(table.assign(site=[f"site {i % 40}" for i in range(90)]), "site")
    assert len(legend(figure)) == 15
    assert legend(figure)[-1].startswith("all others")
    assert len(points(figure.axes[0])) == 90


def test_numbers_in_text_are_in_order_as_on_the_page(table):
    sites = [("10", "2", "a", "-1")[i % 4] for i in range(90)]
    found = [name.partition(" ")[0] for name in legend(code_scatter(table.assign(site=sites), "site"))]
    assert found == ["-1", "2", "10", "a"]


def test_a_space_of_one_dimension_keeps_its_code_as_it_is(table):
    salient = code_scatter(table.drop(columns=["salient1", "salient2"]), "label").axes[1]
    np.testing.assert_allclose(np.sort(points(salient)[:, 0]), np.sort(table["salient0"]))
    assert salient.get_xlabel() == "salient0"


def test_a_collapsed_space_is_one_point(table):
    table[["salient0", "salient1", "salient2"]] = 0.0
    assert not points(code_scatter(table, "label").axes[1]).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="label"), "no column 'label'"),
        (lambda t: t[["label", "common0"]], "no salient codes"),
        (lambda t: t.assign(common0=np.nan), "not finite"),
        (lambda t: t[:1], "at least 2 rows"),
    ],
)
def test_unusable_tables_are_refused(table, change, message):
    with pytest.raises(DataError, match=message):
        code_scatter(change(table), "label")
