import random

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from sepvae.data import ArraySource
from sepvae.errors import DataError
from sepvae.training.attribute_classifier import shift_images, train_attribute_classifier

rng = np.random.default_rng(0)
# Classes 0, 1, 2 are a bright left half, top half and all of it; the last is rare.
Y = np.repeat([0, 1, 2], [40, 30, 4])
X = rng.integers(0, 60, size=(len(Y), 1, 16, 16), dtype=np.uint8)
X[Y != 1, :, :, :8] += 150
X[Y == 1, :, :8] += 150
X[Y == 2, :, :, 8:] += 150


def judge(y=Y, x=X, **keywords):
    return train_attribute_classifier(
        ArraySource(x, np.zeros(len(x))), y, **{"n_steps": 30, "accelerator": "cpu"} | keywords
    )


def weights(trained):
    return trained.network.state_dict()


def test_it_learns_what_is_plain_to_see_rare_classes_too():
    np.testing.assert_array_equal(judge().predict(X), Y)


def test_8_bit_images_and_the_same_in_0_to_1_are_one():
    trained = judge(n_steps=2)
    np.testing.assert_array_equal(trained.predict(X / 255), trained.predict(X))
    assert_close(weights(judge(n_steps=2, x=(X / 255).astype(np.float32))), weights(trained), rtol=0, atol=0)


def test_samples_without_a_class_teach_nothing():
    y, noise = np.where(np.arange(len(Y)) % 2, Y, -1), X.copy()
    noise[y == -1] = 255
    assert_close(weights(judge(y, noise, n_steps=3)), weights(judge(y, n_steps=3)), rtol=0, atol=0)


def test_the_seed_makes_the_judge_and_global_generators_are_left_as_found():
    first = judge(n_steps=3, random_state=1)
    torch.manual_seed(99)
    before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
    again, other = judge(n_steps=3, random_state=1), judge(n_steps=3, random_state=2)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]
    assert_close(weights(again), weights(first), rtol=0, atol=0)
    assert not torch.equal(weights(other)["1.weight"], weights(first)["1.weight"])


def test_images_too_small_for_convolutions_and_tables_are_judged_too():
    assert judge(x=X[:, :, 4:12, 4:12], n_steps=2).predict(X[:5, :, 4:12, 4:12]).shape == (5,)
    table = Y[:, None] * 3.0 + rng.normal(size=(len(Y), 2)) / 10
    np.testing.assert_array_equal(judge(x=table, n_steps=200).predict(table), Y)


def test_no_samples_no_answers():
    assert judge(n_steps=1).predict(X[:0]).shape == (0,)


def test_shifts_move_whole_images_by_a_sixteenth_at_most():
    torch.manual_seed(0)
    ramp = torch.arange(32.0)
    x = (100 * ramp[:, None] + ramp).expand(200, 1, 32, 32)
    moved = shift_images(x, torch.Generator().manual_seed(0))[:, 0] - x[:, 0]
    inner = moved[:, 2:-2, 2:-2]  # of the rest, pixels at the border were repeated
    offsets = inner[:, 0, 0]
    assert_close(inner, offsets[:, None, None].expand_as(inner))
    assert set(offsets.tolist()) == {100.0 * i + j for i in range(-2, 3) for j in range(-2, 3)}


@pytest.mark.parametrize("y", [np.zeros(len(Y), int), np.where(Y == 1, 2, Y), np.full(len(Y), -1)])
def test_two_classes_and_no_gap_between_them_are_wanted(y):
    with pytest.raises(DataError, match="classes: wanted two or more"):
        judge(y)


def test_volumes_are_judged_by_averages_of_cubes():
    noise = np.random.default_rng(0).normal(size=(40, 1, 26, 20, 24)).astype(np.float32)
    y = np.repeat([0, 1], 20)
    noise[y == 1, :, :13] += 1
    trained = judge(y, noise, n_steps=15)
    np.testing.assert_array_equal(trained.predict(noise), y)
