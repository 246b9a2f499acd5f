"""What tests of several rooms share: keywords of a fit that takes a moment, and the command line."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from typer.testing import CliRunner

from sepvae.cli.app import app
from sepvae.data import ArraySource, frame_source
from sepvae.recipes.recipe import ScoreColumn


def quick(**keywords: Any) -> dict[str, Any]:
    """Keywords of a method that trains in a moment; those given come first."""
    few = {"common_dim": 2, "salient_dim": 2, "max_epochs": 1, "progress_bar": False, "accelerator": "cpu"}
    return few | keywords


def score_column(*values: str) -> ScoreColumn:
    """Column of a benchmark's table from the values of all fields, also of what no recipe names."""
    return ScoreColumn.model_construct(**dict(zip(ScoreColumn.model_fields, values, strict=True)))


def table_source(seed: int) -> ArraySource:
    """Four measures of 60 people, with an age and, of patients, a subtype."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(60, 4)), columns=list("abcd")).assign(dx=["hc", "scz"] * 30)
    frame["id"] = [f"{seed}-{i}" for i in range(60)]
    frame["subtype"] = np.where(frame["dx"] == "scz", rng.choice(["1", "2"], 60), None)
    frame["age"] = rng.normal(40, 9, size=60)
    return frame_source(frame, label="dx", id="id", attributes=["subtype", "age"], features=list("abcd"))


@contextmanager
def without_figures() -> Iterator[None]:
    """Runs without figures, which take most of the time of a quick fit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sepvae.runs.finishing.draw", lambda _: None)
        yield


@contextmanager
def short_judges() -> Iterator[None]:
    """Classifiers that judge a removal train for 5 steps: how well they judge is not the question."""
    from sepvae.training.attribute_classifier import train_attribute_classifier

    few = partial(train_attribute_classifier, n_steps=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sepvae.interpretation.removal.train_attribute_classifier", few)
        yield


def images_of(figure: Figure) -> list[AxesImage]:
    """Images of a figure without its colour bars, which are one pixel wide."""
    return [image for image in figure.axes[0].images if image.get_array().shape[1] > 1]


def texts_of(figure: Figure) -> list[str]:
    """Texts beside the images of a figure."""
    return [text.get_text() for text in figure.axes[0].texts]


def sets(**keywords: object) -> list[str]:
    """Keywords as the command line takes them: `--set max_epochs=1`."""
    return [word for name, value in keywords.items() for word in ("--set", f"{name}={value}")]


def quick_sets(**keywords: object) -> list[str]:
    return sets(**quick(progress_bar="false", **keywords))


def linear(method: str = "ContrastivePCA", **keywords: object) -> list[str]:
    """Options of the quickest fit there is: linear, and without permutations."""
    few = {"common_dim": 2, "salient_dim": 1}
    return ["--method", method, "--permutations", "0", *sets(**few | keywords)]


def invoke(*arguments: object, status: int | None = 0) -> str:
    """Run a command in this process; give what it prints, if it ends with this status (None: with any)."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert status in (result.exit_code, None), result.output
    return result.output


def outcome(*arguments: object) -> tuple[int, str]:
    """Run a command that may fail; give its status and all that it says, in one line."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    output = result.output if result.exception is None else f"{result.output}{result.exception}"
    return result.exit_code, " ".join(output.split())


def slices_shown(page: str) -> dict[str, float]:
    """First slices of a viewer of nilearn; version 0.13 counts from 0, later ones from 1."""
    found = re.search(r'"numSlice": (\{[^}]*\})', page)
    assert found is not None
    return json.loads(found[1])
