import numpy as np
import pytest

from sepvae.errors import DataError
from sepvae.plotting import reconstruction_grid

rng = np.random.default_rng(0)


def images(n, channels=1, h=6, w=9):
    return [rng.random((n, channels, h, w)) for _ in range(3)]


def shown(figure):
    return [ax.images[0] for ax in figure.axes if ax.images]


def test_each_sample_is_a_column_of_four_images_and_the_last_is_the_difference():
    inputs, full, common_only = images(5)
    labels = np.array([1, 0, 1, 0, 1])
    drawn = shown(reconstruction_grid(inputs, full, common_only, labels, max_per_label=2))
    assert len(drawn) == 4 * (2 + 2)
    for column, sample in zip(range(0, 16, 4), [1, 3, 0, 2], strict=True):  # background first
        for image, expected in zip(drawn[column:], (inputs, full, common_only), strict=False):
            np.testing.assert_array_equal(image.get_array(), expected[sample, 0])
        np.testing.assert_allclose(drawn[column + 3].get_array(), (full - common_only)[sample, 0])


def test_differences_share_one_symmetric_scale():
    inputs, full, common_only = images(4)
    drawn = shown(reconstruction_grid(inputs, full, common_only, np.array([0, 1, 0, 1])))
    limit = np.abs(full - common_only).max()
    assert {image.get_clim() for image in drawn[3::4]} == {(-limit, limit)}


def test_colour_images_are_shown_in_colour_and_their_difference_averaged():
    inputs, full, common_only = images(2, channels=3)
    drawn = shown(reconstruction_grid(inputs, full, common_only, np.array([0, 1])))
    assert drawn[0].get_array().shape == (6, 9, 3)
    np.testing.assert_allclose(drawn[3].get_array(), (full - common_only)[0].mean(axis=0))


def test_blocks_rows_and_samples_are_named():
    figure = reconstruction_grid(
        *images(2), np.array([0, 1]), ids=["$a_1", "a very long name of a file 0017"]
    )
    assert [text.get_text() for text in figure.texts] == ["Background (0)", "Target (1)"]
    assert figure.axes[0].get_ylabel() == "input"
    assert [ax.get_title() for ax in figure.axes if ax.get_title()] == ["$a_1", "…of a file 0017"]
    figure.canvas.draw()  # a $ is no formula


def test_the_background_is_the_first_label_or_the_one_named():
    labels = np.array(["ill", "well"])
    figure = reconstruction_grid(*images(2), labels)
    assert [text.get_text() for text in figure.texts] == ["Background (ill)", "Target (well)"]
    figure = reconstruction_grid(*images(2), labels, background="well")
    assert [text.get_text() for text in figure.texts] == ["Background (well)", "Target (ill)"]


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
