"""When a fit that was begun may be resumed."""

from pathlib import Path

import pytest

from sepvae.errors import RunFolderError
from sepvae.run_folder import RunFolder
from sepvae.runs.resume import check_same_fit

BEGUN = {"method": "SepVAE", "keywords": {"kappa": 10.0}, "data": {"reader": "regions"}}


def test_a_keyword_that_another_version_does_not_record_and_is_none_is_no_difference(tmp_path: Path) -> None:
    check_same_fit(RunFolder(tmp_path), BEGUN, BEGUN | {"keywords": {"kappa": 10.0, "early_stopping": None}})
    check_same_fit(RunFolder(tmp_path), BEGUN | {"data": {"reader": "regions", "limit": None}}, BEGUN)


def test_a_fit_without_memory_enough_goes_on_with_checkpointed_gradients(tmp_path: Path) -> None:
    saving = {"kappa": 10.0, "gradient_checkpointing": True}
    for earlier in (BEGUN, BEGUN | {"keywords": saving | {"gradient_checkpointing": False}}):
        check_same_fit(RunFolder(tmp_path), earlier, BEGUN | {"keywords": saving})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keywords": {"kappa": 2.0}}, "another fit (keywords: kappa was 10.0, now 2.0)"),
        ({"keywords": {"kappa": 10.0, "seed": 1}}, "another fit (keywords: seed was None, now 1)"),
        ({"method": "ConVAE"}, "another fit (method was SepVAE, now ConVAE)"),
        ({"data": {"reader": "regions", "fingerprint": "a"}}, "other data (samples, ids, groups or labels)"),
    ],
)
def test_what_differs_is_named(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError) as refused:
        check_same_fit(RunFolder(tmp_path), BEGUN, BEGUN | changes)
    assert f"was begun with {message}; choose another out=" in str(refused.value)
