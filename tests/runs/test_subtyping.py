"""Raw measures of patients beside their codes: the same people, within memory; files of earlier subtypes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sepvae.data.arrays import ArraySource
from sepvae.errors import DataError
from sepvae.run_folder import SubtypeFiles
from sepvae.runs import subtyping
from sepvae.runs.new_data import Samples
from sepvae.runs.subtyping import raw_measures

N = 40


def patients() -> tuple[pd.DataFrame, Samples, np.ndarray]:
    """Patients in another order than their images (1 pixel of 16 tells them apart)."""
    ids = np.array([f"p{i}" for i in range(N)])
    split = np.where(np.arange(N) % 4 == 0, "test", "train")
    images = np.random.default_rng(0).normal(size=(N, 1, 4, 4)).astype(np.float32)
    images[:, 0, 2, 2] += 100 * np.arange(N)
    parts = [
        ArraySource(images[split == p], labels=np.full((split == p).sum(), "ill"), ids=ids[split == p])
        for p in ("train", "test")
    ]
    order = np.random.default_rng(1).permutation(N)
    table = pd.DataFrame({"id": ids, "group": ids, "split": split}).iloc[order].reset_index(drop=True)
    return table, Samples(*parts), order


def test_raw_measures_are_those_of_the_same_people() -> None:
    table, raw, order = patients()
    found = raw_measures(table, raw)
    first = found.features[found.person, 0]
    of_samples = pd.Series(first, index=found.samples.index).reindex(table.index)
    assert abs(np.corrcoef(of_samples, order)[0, 1]) > 0.999
    assert found.held_out.sum() == N // 4


def test_images_too_large_for_memory_give_some_of_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    table, raw, _ = patients()
    monkeypatch.setattr(subtyping, "MAX_VALUES", 3 * N)
    assert raw_measures(table, raw).features.shape == (N, 3)


def test_data_without_a_patient_of_the_run_are_refused() -> None:
    table, raw, _ = patients()
    table.loc[0, "id"] = "someone"
    with pytest.raises(DataError, match="1 patients of the run are not in the data, such as 'someone'"):
        raw_measures(table, raw)


def test_files_of_earlier_subtypes_are_removed(tmp_path: Path) -> None:
    files = SubtypeFiles(tmp_path)
    old = [files.record.path, files.people.path, files.profile.path, files.features.path, files.volume(2)]
    old += [tmp_path / "figures" / name for name in ("subtypes.png", "subtype-3.png")]
    other = tmp_path / "figures" / "codes_subtype.png"
    other.parent.mkdir()
    for file in (*old, other):
        file.touch()
    files.remove()
    assert not [file for file in old if file.exists()]
    assert other.exists()
