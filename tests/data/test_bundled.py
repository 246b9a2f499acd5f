import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sepvae.data import load_digits_on_photos


@pytest.fixture(scope="module")
def parts():
    return load_digits_on_photos()


def grey_photos():
    pictures = zip(("china", "flower"), load_sample_images().images, strict=True)
    grey = {name: np.asarray(Image.fromarray(image).convert("L")) for name, image in pictures}
    return {name: pixels.astype(np.float32) / np.float32(255) for name, pixels in grey.items()}


def patches(source):
    """Each image's patch, cut from the photo again by what the attributes say."""
    photos = grey_photos()
    where = source.attributes[["photo", "position_row", "position_col"]].itertuples(index=False)
    return np.stack([photos[p][int(r) : int(r) + 32, int(c) : int(c) + 32] for p, r, c in where])


def test_counts_and_ranges(parts):
    for source, n in zip(parts, (1437, 360), strict=True):
        assert source.x.shape == (2 * n, 1, 32, 32)
        assert source.x.dtype == np.float32
        assert 0 <= source.x.min() <= source.x.max() <= 1
        background = source.labels == "background"
        assert background.sum() == n
        assert (source.attributes["digit"].isna() == background).all()


def test_background_is_half_a_patch_and_target_adds_half_a_digit(parts):
    for source in parts:
        digit = source.x[:, 0] - patches(source) / 2
        target = source.labels == "target"
        assert np.abs(digit[~target]).max() == 0
        assert digit.min() > -1e-6
        assert digit[target].max(axis=(1, 2)).min() > 0.4  # each is well visible
        assert not digit[:, :2].any()  # 4 free pixels, less a shift of 2
        np.testing.assert_allclose(
            source.attributes["brightness"], patches(source).mean(axis=(1, 2)), rtol=1e-5
        )


def test_digits_are_disjoint_and_rightly_named(parts):
    rows = [[int(i.rsplit("-", 1)[1]) for i in s.ids[s.labels == "target"]] for s in parts]
    assert sorted(rows[0] + rows[1]) == list(range(1797))
    truth = load_digits().target.astype(str)
    for source, row in zip(parts, rows, strict=True):
        assert source.attributes["digit"].dropna().tolist() == truth[row].tolist()


def test_photo_regions_are_disjoint(parts):
    for photo, grey in grey_photos().items():
        train, test = (np.zeros(grey.shape, dtype=bool) for _ in parts)
        for mask, source in zip((train, test), parts, strict=True):
            of_photo = source.attributes[source.attributes["photo"] == photo]
            for row, col in of_photo[["position_row", "position_col"]].astype(int).to_numpy():
                mask[row : row + 32, col : col + 32] = True
        assert not (train & test).any()


def test_repeats_and_varies_with_random_state(parts):
    again, other = load_digits_on_photos()[0], load_digits_on_photos(1)[0]
    assert (again.x == parts[0].x).all()
    assert (other.x != parts[0].x).any()


def test_a_linear_probe_reads_the_digit_in_part(parts):
    x, digit = zip(
        *((s.x[s.labels == "target"].reshape(-1, 1024), s.attributes["digit"].dropna()) for s in parts),
        strict=True,
    )
    probe = make_pipeline(PCA(32, random_state=0), LogisticRegression(max_iter=3000)).fit(x[0], digit[0])
    assert probe.score(x[1], digit[1]) == pytest.approx(0.78, abs=0.05)  # measured; chance is 0.1
