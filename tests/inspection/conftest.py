"""Samples without a fault, to which tests add one."""

import numpy as np
import pandas as pd
import pytest

from sepvae.data.quality_metrics import measure


@pytest.fixture
def about() -> pd.DataFrame:
    """120 patients and 120 controls, two samples of each, and an age that says nothing."""
    rng = np.random.default_rng(0)
    group = np.arange(480) // 2
    return pd.DataFrame(
        {
            "id": [f"s{i}" for i in range(480)],
            "group": [f"p{i}" for i in group],
            "label": np.where(group % 2, "patient", "control"),
            "split": None,
            "age": rng.normal(50, 10, size=240)[group],
        }
    )


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    """480 blurred noises, (480, 1, 48, 48)."""
    rng = np.random.default_rng(1)
    coarse = rng.uniform(0, 255, size=(480, 1, 12, 12))
    return coarse.repeat(4, axis=2).repeat(4, axis=3).astype(np.float32)


@pytest.fixture(scope="session")
def quality_metrics(pictures: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame([measure(picture, "L", picture.tobytes()) for picture in pictures])
