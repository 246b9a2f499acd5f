"""Tests of the group map of a run in words, for the page and the terminal."""

from collections.abc import Mapping
from typing import Any

from sepvae.checks import joined

OTHERS = {"input": "difference of the input itself", "glm": "t of the input", "w": "t of w-scores"}


def inference_words(summary: Mapping[str, Any]) -> str:
    """Return the result of `infer_maps` in sentences."""
    tests, unit, tested = summary["tests"], summary["unit"], summary["tested"]
    people = joined([f"{n} {label}" for label, n in summary["people"].items()])
    adjusted = joined(summary["adjusted_for"]) or "nothing"
    others = [
        f"{words} {tests[part]['found']}, r = {tests[part]['correlation']:.2f}"
        for part, words in OTHERS.items()
        if part in tests
    ]
    lines = [
        f"In held-out people ({people}) what the salient part adds differs between the groups in "
        f"{tests['salient']['found']} of {tested} {unit}s: p at most 0.05, corrected for all {unit}s, by "
        f"{summary['permutations']} permutations of people, adjusted for {adjusted}.",
        f"Beside it, the number of {unit}s and the correlation with that map: {'; '.join(others)}.",
    ]
    if (null := summary.get("refits")) is not None:
        n = null["n"]
        lines.append(
            f"Against {n} refits on permuted labels, {null['found']} {unit}s have a corrected p of at most "
            f"0.05; the smallest is {null['least_p']:.3f}, and could be 1/{n + 1} = {1 / (n + 1):.3f}."
        )
    return " ".join(lines)
