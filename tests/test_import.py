import subprocess
import sys

import pytest

import sepvae


def test_importing_the_package_does_not_wait_for_torch():
    code = "import sys, sepvae; sys.exit(bool({'torch', 'numpy', 'pandas', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", sepvae.__all__)
def test_every_public_name_is_there_when_it_is_used(name):
    assert getattr(sepvae, name) is not None
    assert name in dir(sepvae)


def test_another_name_is_not():
    with pytest.raises(AttributeError, match="module 'sepvae' has no attribute 'SepVea'"):
        _ = sepvae.SepVea
