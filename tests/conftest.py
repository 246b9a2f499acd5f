"""What tests of several rooms need."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .helpers import quick, short_judges, table_source, without_figures


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data; its tests are skipped where it is not."""
    if "SEPVAE_DATA" not in os.environ:
        pytest.skip("SEPVAE_DATA is not set: it names the folder of real data")
    return Path(os.environ["SEPVAE_DATA"])


@pytest.fixture
def undrawn() -> Iterator[None]:
    """Runs of this test have no figures."""
    with without_figures():
        yield


@pytest.fixture
def judged_shortly() -> Iterator[None]:
    """Classifiers that judge a removal in this test train for 5 steps."""
    with short_judges():
        yield


@pytest.fixture(scope="session")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a table, for tests that only read it: fitted on `table_source(0)`, tested on `(1)`."""
    from sepvae import SepVAE  # here, so that tests without torch start at once
    from sepvae.runs import fit_run

    out, how = tmp_path_factory.mktemp("runs") / "table", {"n_permutations": 2, "say": lambda _: None}
    fit_run(SepVAE(**quick()), table_source(0), table_source(1), out, about_data={"reader": "frame"}, **how)
    return out
