import numpy as np

from sepvae.batch import gather


def test_gather_puts_parts_together_in_their_order_and_types():
    numbers, images = np.arange(7), np.random.default_rng(0).random((7, 2, 3)).astype(np.float32)
    cuts = [slice(0, 3), slice(3, 6), slice(6, 7)]
    first, second = gather(7, ((numbers[cut], images[cut]) for cut in cuts))
    assert np.array_equal(first, numbers)
    assert np.array_equal(second, images)
    assert (first.dtype, second.dtype) == (numbers.dtype, images.dtype)
