"""What tests of several rooms need."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data; its tests are skipped where it is not."""
    if "SEPVAE_DATA" not in os.environ:
        pytest.skip("SEPVAE_DATA is not set: it names the folder of real data")
    return Path(os.environ["SEPVAE_DATA"])
