import numpy as np
import pytest

from sepvae.errors import BackgroundWarning, DataError
from sepvae.losses.vae import SeverityPrior
from sepvae.methods.labels import GroupLabels, SeverityLabels

HALF = np.array([[0.4, 0.6], [0.9, 0.1]])


def test_the_background_is_0_whatever_its_order() -> None:
    labels = GroupLabels("well")
    assert labels.fit_transform(np.array(["ill", "well", "ill"])).tolist() == [1, 0, 1]
    assert labels.transform(np.array(["ill"])).tolist() == [1]
    assert labels.predict(HALF).tolist() == ["well", "ill"]
    assert (labels.salient_std("well"), labels.salient_std("ill"), labels.salient_std(1)) == (0, 1, 1)
    with pytest.raises(DataError, match=r"wanted labels that were fitted \(well, ill\), got sick"):
        labels.transform(np.array(["sick"]))


def test_several_targets_are_numbered_in_sorted_order() -> None:
    labels = GroupLabels("HC")
    assert labels.fit_transform(np.array(["SZ", "HC", "ASD", "BD", "HC"])).tolist() == [3, 0, 1, 2, 0]
    assert [labels.group(y) for y in ("HC", "ASD", "SZ", 3)] == [0, 1, 3, 3]
    assert (labels.salient_std("HC"), labels.salient_std("BD")) == (0, 1)
    for y, message in (
        ("MDD", "wanted 0 or 1 or 2 or 3 or 'HC' or 'ASD'"),
        (4, "1 to 3 for a target, got 4"),
    ):
        with pytest.raises(DataError, match=message):
            labels.salient_std(y)


def test_without_a_word_for_controls_the_first_label_is_named_as_background() -> None:
    with pytest.warns(
        BackgroundWarning, match="'a' is taken for the background, 'b' and 'c' for the targets"
    ):
        assert GroupLabels().fit_transform(np.array(["c", "a", "b"])).tolist() == [2, 0, 1]
    assert GroupLabels().fit_transform(np.array(["SZ", "HC", "ASD"])).tolist() == [2, 0, 1]


def test_severities_are_kept_and_gate_the_salient_part() -> None:
    labels = SeverityLabels(None, SeverityPrior(0.04))
    assert labels.fit_transform(np.array([0, 0.5, 1])).tolist() == [0, 0.5, 1]
    assert labels.predict(HALF).tolist() == [0.6, 0.1]
    assert labels.gate_salient(np.ones((2, 3)), lambda _: HALF).tolist() == [[0.6] * 3, [0.1] * 3]
    assert labels.salient_std(0.5) == pytest.approx(0.5 * np.sqrt(0.04 + 0.96 * 0.25))
