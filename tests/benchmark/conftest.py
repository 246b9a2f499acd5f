from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sepvae.benchmark import parse_contender
from sepvae.data import ArraySource
from sepvae.evaluation.consensus import find_consensus

from ..helpers import score_column

QUICK: dict[str, Any] = {"common_dim": 2, "salient_dim": 2, "background": "control"}
VAE: dict[str, Any] = {"max_epochs": 1, "batch_size": 16, "accelerator": "cpu"}
KINDS: Any = {"sex": "categorical", "age": "continuous"}
COLUMNS = [
    score_column("sex, salient", "sex", "all", "salient", "balanced_accuracy", "linear", "low"),
    score_column("age, common", "age", "all", "common", "r2", "linear", "high"),
    score_column("background or target", "label", "all", "salient", "auc", "own", "high"),
]


@pytest.fixture(scope="package", autouse=True)
def few_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sepvae.benchmark.consensus.find_consensus", partial(find_consensus, n_null=19))
        yield


def make_source(n: int, seed: int) -> ArraySource:
    """Controls and patients, whose sex and age show in the first two of five features."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(["control", "patient"], n // 2)
    about = pd.DataFrame({"sex": rng.choice(["F", "M"], n), "age": rng.normal(50, 10, n)})
    x = rng.normal(size=(n, 5))
    x[:, 0] += 3 * (about["sex"] == "F")
    x[:, 1] += about["age"] / 5
    x[:, 2] += 2 * (labels == "patient")
    return ArraySource(x, labels, ids=[f"{seed}-{i}" for i in range(n)], attributes=about)


@pytest.fixture(scope="session")
def parts() -> list[tuple[ArraySource, ArraySource]]:
    return [(make_source(60, 0), make_source(40, 1))]


def contender(text: str, **keywords: Any) -> Any:
    chosen = parse_contender(text)
    own = {} if chosen.method == "ContrastivePCA" else VAE
    return replace(chosen, keywords=QUICK | own | keywords)
