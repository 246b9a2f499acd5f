"""What a terminal shows of an inspection."""

import numpy as np
import pandas as pd
import pytest

from sepvae.cli.tables import print_inspection
from sepvae.inspection import Finding, Inspection, inspect

ERROR = Finding("error", "unreadable", "27 files cannot be read", tuple(f"image{i}" for i in range(27)))
WARNING = Finding("warning", "confound", "age differs " + "and differs " * 20)
NOTE = Finding("note", "no-groups", "no subject is named")
COUNTS = pd.DataFrame({"label": ["ill", "well"], "split": None, "samples": [3, 4], "groups": [1, 2]})


def shown(capsys, *findings, counts=COUNTS):
    print_inspection(Inspection(findings, {"counts": counts, "attributes": pd.DataFrame()}))
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ((ERROR, ERROR, WARNING, NOTE), "2 problems would spoil a fit, 1 warning, 1 note"),
        ((ERROR, WARNING, WARNING), "1 problem would spoil a fit, 2 warnings"),
        ((NOTE, NOTE), "nothing found that would spoil a fit, 2 notes"),
        ((), "nothing found that would spoil a fit"),
    ],
)
def test_the_first_line_is_the_verdict(capsys, findings, verdict):
    assert shown(capsys, *findings).splitlines()[0] == verdict


def test_findings_stand_beside_their_marks_within_80_columns(capsys):
    lines = shown(capsys, ERROR, WARNING, NOTE).splitlines()
    assert lines[1:4] == [
        "error    27 files cannot be read",
        "         image0, image1, image2 and 24 more",
        "warning  age differs and differs and differs and differs and differs and differs",
    ]
    assert lines[4].startswith("         and differs")
    assert max(map(len, lines)) <= 80


def test_counts_follow_without_columns_that_are_empty(capsys):
    words = [line.split() for line in shown(capsys, NOTE).splitlines()[-3:]]
    assert words == [["label", "samples", "groups"], ["ill", "3", "1"], ["well", "4", "2"]]


def test_data_are_neither_markup_nor_commands_to_the_terminal(capsys):
    finding = Finding("note", "x", "[bold]a[/bold] \x1b[31m", ("[red]b\n",))
    out = shown(capsys, finding, counts=COUNTS.assign(label=["[link=x]", "[/]"]))
    assert all(text in out for text in ("[bold]a[/bold] \\x1b[31m", "[red]b", "[link=x]", "[/]"))
    assert "\x1b" not in out


def test_colour_where_it_is_wanted_and_none_where_not(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[33mwarning" in shown(capsys, WARNING)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[33m" not in shown(capsys, WARNING)


def test_a_whole_inspection_fits_80_columns(capsys):
    rng, n = np.random.default_rng(0), 60
    about = pd.DataFrame({"id": range(n), "group": range(n), "label": ["b", "t"] * (n // 2), "split": None})
    about["age"], about["site"] = rng.normal(50, 10, n).round(), [f"site {i % 9}" for i in range(n)]
    numbers = ["low", "high", "brightness", "contrast", "sharpness", "anisotropy"]
    quality_metrics = pd.DataFrame(rng.uniform(1, 2, size=(n, 6)), columns=numbers)
    quality_metrics = quality_metrics.assign(
        width=rng.integers(900, 999, n), height=999, mode="L", digest=range(n), look=None
    )
    print_inspection(inspect(about, quality_metrics))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(" more " in line for line in lines) == 3  # values of site for each label; sizes
    assert any(line.startswith("anisotropy") for line in lines)
