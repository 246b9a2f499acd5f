"""Severity of targets under inspection: its range, and what goes with it among them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f_oneway, spearmanr

from sepvae.inspection import inspect

from ..helpers import invoke


def about(n: int = 80) -> pd.DataFrame:
    """Patients whose severity follows their age and their site, but not their handedness."""
    rng = np.random.default_rng(0)
    ill = np.arange(n) % 2 == 1
    age, site = rng.uniform(20, 70, n), rng.choice(["a", "b", "c"], n)
    score = np.where(ill, age / 10 + 5 * (site == "c") + rng.normal(0, 0.5, n), np.nan)
    table = pd.DataFrame({"id": [f"s{i}" for i in range(n)], "label": np.where(ill, "ill", "well")})
    table = table.assign(group=table["id"], split=None, score=score, age=age, site=site)
    return table.assign(hand=rng.choice(["left", "right"], n))


def test_the_range_and_what_goes_with_it_among_targets() -> None:
    table = about()
    found = inspect(table, background="well", severity="score")
    ill = table[table["label"] == "ill"]
    note = next(finding for finding in found.findings if finding.code == "severity")
    low, high = ill["score"].min(), ill["score"].max()
    assert note.message.startswith(
        f"severity of targets (score): known of 40 of 40, {low:g} to {high:g}, mean "
    )
    tests = found.tables["severity"].set_index("variable")
    assert tests.loc["age", "spearman"] == pytest.approx(spearmanr(ill["age"], ill["score"]).statistic)
    f = f_oneway(*(part for _, part in ill["score"].rank().groupby(ill["site"]))).statistic
    explained = 2 * f / (2 * f + 37)  # share of the variance of ranks, of 3 sites and 40 people
    assert tests.loc["site", "eta"] == pytest.approx(np.sqrt((39 * explained - 2) / 37))
    warned = [finding.message for finding in found.findings if finding.code == "severity-confound"]
    assert len(warned) == 2
    assert not any("hand" in message for message in warned)
    assert any(
        message
        == f"score goes with age among targets (Spearman {tests.loc['age', 'spearman']:.2f}): what the "
        "salient space shows of score may be age"
        for message in warned
    )


def test_patients_count_once() -> None:
    twice = pd.concat([about(), about().assign(id=lambda t: t["id"] + "b")], ignore_index=True)
    one, two = (inspect(table, background="well", severity="score") for table in (about(), twice))
    pd.testing.assert_frame_equal(one.tables["severity"], two.tables["severity"])


def test_check_says_what_a_fit_would_refuse(tmp_path: Path) -> None:
    rows = about()
    rows["f"] = np.random.default_rng(1).normal(size=len(rows))
    rows.loc[1, "score"] = np.nan
    rows.to_csv(tmp_path / "people.csv", index=False)
    how = ["--label", "label", "--features", "f", "--target-severity", "score", "--id", "id"]
    said = " ".join(invoke("check", tmp_path / "people.csv", *how, "--background", "well", status=1).split())
    assert "error --target-severity: 1 of 40 targets have no score, such as s1; fill it in" in said
    assert "known of 39 of 40" in said
