import numpy as np
import pandas as pd
import pytest

from sepvae.errors import DataError
from sepvae.plotting import learning_curves


def curves(*columns, epochs=5):
    metrics = pd.DataFrame({"epoch": np.arange(epochs)})
    return learning_curves(metrics.assign(**{column: np.linspace(2, 1, epochs) for column in columns}))


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_columns_of_one_term_share_a_panel_and_the_loss_is_first():
    figure = curves(
        "train_reconstruction",
        "train_reconstruction_background",
        "train_reconstruction_target",
        "validation_reconstruction",
        "train_reconstruction_weighted",
        "train_loss",
    )
    assert titles(figure) == ["Loss", "Reconstruction"]
    assert [len(ax.lines) for ax in figure.axes] == [1, 4]
    assert legend(figure) == ["train", "validation", "train, background", "train, target"]


def test_a_term_may_itself_end_in_target_or_background():
    figure = curves(
        "train_salient_kl_target", "train_salient_kl_target_target", "train_salient_kl_background_excess"
    )
    assert titles(figure) == ["Salient KL target", "Salient KL background excess"]
    assert [len(ax.lines) for ax in figure.axes] == [2, 1]


def test_a_group_that_has_no_such_term_has_no_line():
    terms = {"train_swap": 0.5, "train_swap_target": 0.0, "train_swap_background": 1.0}
    (ax,) = learning_curves(pd.DataFrame({"epoch": [0, 1]}).assign(**terms)).axes
    assert [line.get_ydata()[0] for line in ax.lines] == [0.5, 1.0]


def test_epochs_without_a_value_are_left_out():
    metrics = pd.DataFrame({"epoch": [0, 1, 2], "train_loss": [3.0, np.nan, 1.0], "train_old": np.nan})
    (panel,) = learning_curves(metrics).axes
    np.testing.assert_array_equal(panel.lines[0].get_xydata(), [[0, 3], [2, 1]])


def test_one_epoch_is_drawn_as_a_dot():
    assert curves("train_loss", epochs=1).axes[0].lines[0].get_marker() == "o"


def test_first_values_that_dwarf_the_rest_get_a_logarithmic_axis():
    metrics = pd.DataFrame(
        {"epoch": range(5), "train_loss": [1000.0, 9, 8, 7, 6], "train_kl": [5.0, 4, 3, 2, 1]}
    )
    assert [ax.get_yscale() for ax in learning_curves(metrics).axes] == ["log", "linear"]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (pd.DataFrame({"train_loss": [1.0]}), "column 'epoch'"),
        (pd.DataFrame({"epoch": [0], "seconds": [1.0]}), "nothing to draw"),
    ],
)
def test_unusable_metrics_are_refused(metrics, message):
    with pytest.raises(DataError, match=message):
        learning_curves(metrics)
