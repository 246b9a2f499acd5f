"""The grid of volumes: windows there and back, and what counts as one place."""

from dataclasses import replace

import numpy as np
import pytest

from sepvae.grid import Grid

AFFINE = np.array([[2.0, 0, 0, -10], [0, 2, 0, -12], [0, 0, 3, 5], [0, 0, 0, 1]])


@pytest.mark.parametrize("size", [(4, 6, 5), (7, 4, 8), (5, 5, 9), (6, 7, 4)])
def test_a_window_comes_back_where_it_was(size: tuple[int, int, int]) -> None:
    grid = Grid((5, 6, 7), AFFINE, size=size)
    voxels = np.random.default_rng(0).normal(size=grid.shape)
    back = grid.back(grid.window(voxels))
    seen = grid.back(grid.valid_mask.astype(float)) == 1
    assert np.array_equal(back[seen], voxels[seen])
    assert not back[~seen].any()
    assert seen.sum() == np.prod(np.minimum(grid.shape, size))


def test_the_window_is_the_centre() -> None:
    voxels = np.arange(7.0)[:, None, None] * np.ones((7, 3, 3))
    assert Grid((7, 3, 3), AFFINE, size=(3, 3, 3)).window(voxels)[:, 0, 0].tolist() == [2, 3, 4]
    assert Grid((7, 3, 3), AFFINE, size=(9, 3, 3)).window(voxels)[:, 0, 0].tolist() == [0, *range(7), 0]


def test_padding_and_what_lies_out_of_the_mask_do_not_count() -> None:
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[1:3] = True
    grid = Grid((4, 4, 4), AFFINE, size=(6, 4, 4), mask=mask)
    assert grid.valid_mask.sum() == mask.sum()
    assert Grid((4, 4, 4), AFFINE, size=(6, 4, 4)).valid_mask.sum() == 64
    assert not grid.back(np.ones((6, 4, 4)))[~mask].any()


def test_one_place_is_a_matter_of_millimetres() -> None:
    grid = Grid((4, 4, 4), AFFINE)
    moved, turned = AFFINE.copy(), AFFINE.copy()
    moved[0, 3] += 0.5
    turned[0, 1] = 0.1
    assert grid.same_place(Grid((4, 4, 4), AFFINE + 1e-6, size=(8, 8, 8)))
    assert not grid.same_place(Grid((4, 4, 4), moved))
    assert not grid.same_place(Grid((4, 4, 4), turned))
    assert not grid.same_place(Grid((4, 4, 5), AFFINE))


def test_a_grid_is_kept_in_files() -> None:
    grid = Grid((3, 4, 5), AFFINE, size=(4, 4, 4), mask=np.ones((3, 4, 5), dtype=bool), axes="LPS")
    again = Grid.from_state(*grid.state())
    assert again.same_place(grid)
    assert (again.size, again.axes) == (grid.size, grid.axes)
    assert np.array_equal(again.valid_mask, grid.valid_mask)
    assert Grid.from_state(*replace(grid, mask=None).state()).mask is None
    assert grid.voxel_size.tolist() == [2, 2, 3]
