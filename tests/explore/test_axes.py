"""Directions that people are moved along."""

import numpy as np
import pytest

from sepvae.explore.axes import salient_axes


@pytest.fixture
def codes() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 4)) @ np.diag([3, 2, 1, 0.5]) @ np.linalg.qr(rng.normal(size=(4, 4)))[0] + 1


@pytest.mark.parametrize("basis", ["components", "dimensions"])
def test_moving_reaches_the_position_and_nothing_else(codes, basis):
    axes, own = salient_axes(codes, {}, basis), codes[0]
    np.testing.assert_allclose(axes.directions @ axes.directions.T, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(axes.moved(own, axes.positions(own)), own)
    wanted = axes.positions(own) + np.eye(4)[0]
    moved = axes.moved(own, wanted)
    np.testing.assert_allclose(axes.positions(moved), wanted)
    assert np.linalg.norm(moved - own) == pytest.approx(1)
    np.testing.assert_allclose(axes.moved(own, axes.positions(np.zeros(4))), 0, atol=1e-9)


def test_ranges_are_those_of_the_codes(codes):
    axes = salient_axes(codes, {}, "dimensions")
    assert axes.names == [f"salient{i}" for i in range(4)]
    np.testing.assert_allclose([axes.low, axes.high], [codes.min(axis=0), codes.max(axis=0)])
    components = salient_axes(codes, {}, "components")
    spread = np.linalg.svd(codes - codes.mean(axis=0), compute_uv=False) ** 2
    assert components.names[0] == f"Component 1 ({spread[0] / spread.sum():.0%})"
    assert (components.high - components.low)[0] == (components.high - components.low).max()


def test_components_of_a_block_move_that_block_alone(codes):
    blocks = {"salient, shared": slice(0, 2), "salient of A": slice(2, 4)}
    axes = salient_axes(codes, blocks, "components")
    assert [name.split(" (")[0] for name in axes.names[:3:2]] == [
        "Component 1 of salient, shared",
        "Component 1 of salient of A",
    ]
    assert not axes.directions[:2, 2:].any()
    assert not axes.directions[2:, :2].any()
    assert salient_axes(codes, blocks, "dimensions").names[3] == "salient3 (salient of A)"


def test_a_dead_space_has_one_slider():
    axes = salient_axes(np.zeros((10, 3)), {}, "components")
    assert len(axes.names) == 1
    assert np.isfinite([axes.low, axes.high]).all()
