import numpy as np
import pytest

from sepvae.errors import DataError
from sepvae.plotting import reconstruction_grid, swap_grid, traversal_grid

from ..helpers import images_of, texts_of

rng = np.random.default_rng(0)


def images(n, channels=1, h=6, w=9):
    return [rng.random((n, channels, h, w)) for _ in range(3)]


def beside(figure, name, image, axis):
    """Whether a name is at the middle of an image along an axis: 0 of its column, 1 of its row."""
    places = [text.get_position() for text in figure.axes[0].texts if text.get_text() == name]
    ends = np.reshape(image.get_extent(), (2, 2))[axis]
    return any(place[axis] == pytest.approx(ends.mean()) for place in places)


def test_each_sample_is_a_column_of_four_images_and_the_last_is_the_difference():
    inputs, full, common_only = images(5)
    labels = np.array([1, 0, 1, 0, 1])
    drawn = images_of(reconstruction_grid(inputs, full, common_only, labels, max_per_label=2))
    assert len(drawn) == 4 * (2 + 2)
    for column, sample in zip(range(0, 16, 4), [1, 3, 0, 2], strict=True):  # background first
        for image, expected in zip(drawn[column:], (inputs, full, common_only), strict=False):
            np.testing.assert_array_equal(image.get_array(), expected[sample, 0])
        np.testing.assert_allclose(drawn[column + 3].get_array(), (full - common_only)[sample, 0])


def test_differences_share_one_symmetric_scale():
    inputs, full, common_only = images(4)
    drawn = images_of(reconstruction_grid(inputs, full, common_only, np.array([0, 1, 0, 1])))
    limit = np.abs(full - common_only).max()
    assert {image.get_clim() for image in drawn[3::4]} == {(-limit, limit)}


def test_colour_images_are_shown_in_colour_and_their_difference_averaged():
    inputs, full, common_only = images(2, channels=3)
    drawn = images_of(reconstruction_grid(inputs, full, common_only, np.array([0, 1])))
    assert drawn[0].get_array().shape == (6, 9, 3)
    np.testing.assert_allclose(drawn[3].get_array(), (full - common_only)[0].mean(axis=0))


def test_blocks_rows_and_samples_are_named():
    figure = reconstruction_grid(
        *images(2), np.array([0, 1]), ids=["$a_1", "a very long name of a file 0017"]
    )
    written = texts_of(figure)
    assert written[:4] == ["Background (0)", "$a_1", "Target (1)", "a very long name\nof a file 0017"]
    assert written[4] == "input"
    drawn = images_of(figure)
    assert beside(figure, "$a_1", drawn[0], 0)
    assert beside(figure, "a very long name\nof a file 0017", drawn[4], 0)
    assert all(beside(figure, name, image, 1) for name, image in zip(written[4:8], drawn, strict=False))
    figure.canvas.draw()  # a $ is no formula


def test_the_background_is_the_first_label_or_the_one_named():
    labels = np.array(["ill", "well"])
    figure = reconstruction_grid(*images(2), labels)
    assert texts_of(figure)[::2][:2] == ["Background (ill)", "Target (well)"]
    figure = reconstruction_grid(*images(2), labels, background="well")
    assert texts_of(figure)[::2][:2] == ["Background (well)", "Target (ill)"]


def test_several_targets_are_one_group():
    figure = reconstruction_grid(*images(4), np.array(["SZ", "HC", "BD", "SZ"]), background="HC")
    assert texts_of(figure)[0:4:2] == ["Background (HC)", "Target (BD and SZ)"]


def test_identical_reconstructions_have_a_scale_too():
    inputs, full, _ = images(2)
    reconstruction_grid(inputs, full, full, np.array([0, 1])).canvas.draw()


@pytest.mark.parametrize("labels", [[0, 0], [0, 1, 1]])
def test_each_image_needs_one_of_two_labels(labels):
    with pytest.raises(DataError, match="labels: wanted"):
        reconstruction_grid(*images(2), np.array(labels))


def test_shapes_must_agree():
    inputs, full, common_only = images(2)
    with pytest.raises(DataError, match="one shape"):
        reconstruction_grid(inputs, full, common_only[:1], np.array([0, 1]))


def test_a_traversal_is_a_row_of_its_steps_and_their_difference():
    traversals = rng.random((2, 3, 4, 1, 6, 9))
    figure = traversal_grid(
        traversals, np.array([-3, -1, 0, 2]), np.array([0.5, 0.25, 0.125]), ["$p_1", "p2"]
    )
    drawn = images_of(figure)
    assert len(drawn) == 3 * 2 * 5
    row = drawn[10:15]  # the first of the second component
    for image, expected in zip(row, traversals[0, 1], strict=False):
        np.testing.assert_array_equal(image.get_array(), expected[0])
    difference = traversals[:, :, 3] - traversals[:, :, 0]
    np.testing.assert_allclose(row[4].get_array(), difference[0, 1, 0])
    assert row[4].get_clim() == (-np.abs(difference).max(), np.abs(difference).max())
    written = texts_of(figure)
    assert "Salient component 2 (25 % of the salient variance)" in written
    assert written[2:7] == ["-3 sd", "-1 sd", "mean", "+2 sd", "last minus first"]
    assert [text for text in written if text.strip("$").startswith("p")] == ["$p_1", "p2"] * 3
    assert beside(figure, "p2", drawn[5], 1)
    assert beside(figure, "last minus first", drawn[4], 0)
    figure.canvas.draw()


def test_still_traversals_have_a_scale_too():
    figure = traversal_grid(np.ones((1, 1, 2, 3, 6, 9)), np.array([-1, 1]), np.array([0.0]))
    figure.canvas.draw()
    assert "target 1" in texts_of(figure)


@pytest.mark.parametrize(("steps", "shares"), [(3, 2), (2, 3)])
def test_traversals_need_a_share_a_component_and_a_number_a_step(steps, shares):
    with pytest.raises(DataError, match="traversals, steps and shares: wanted shapes"):
        traversal_grid(np.ones((1, 2, 2, 1, 6, 9)), np.zeros(steps), np.zeros(shares))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_swap_is_a_column_of_named_rows(channels):
    swaps = rng.random((3, 4, channels, 6, 9))
    figure = swap_grid(swaps, [["a1", "$b_1"]] * 3)
    drawn = images_of(figure)
    for image, expected in zip(drawn, swaps.reshape(12, channels, 6, 9), strict=True):
        np.testing.assert_array_equal(image.get_array(), np.moveaxis(expected, 0, -1).squeeze())
    names = ["background a", "target b", "a with the salient part of b", "b with the salient part of a"]
    written = texts_of(figure)
    assert written[:3] == ["a a1\nb $b_1"] * 3
    assert [text.replace("\n", " ") for text in written[3:]] == names
    assert all(beside(figure, name, image, 1) for name, image in zip(written[3:], drawn, strict=False))
    assert beside(figure, "a a1\nb $b_1", drawn[8], 0)
    figure.canvas.draw()


def test_swaps_come_in_fours():
    with pytest.raises(
        DataError, match=r"swaps: wanted shape \(k, 4, channels, h, w\), got \(3, 2, 1, 6, 9\)"
    ):
        swap_grid(np.ones((3, 2, 1, 6, 9)))
