"""Tests of the group map of a run in words, for the page and the terminal."""

from collections.abc import Mapping
from typing import Any

from sepvae.checks import joined
from sepvae.errors import count

OTHERS = {"input": "difference of the input itself", "glm": "t of the input", "w": "t of w-scores"}


def inference_words(summary: Mapping[str, Any]) -> str:
    """Return the result of `infer_maps` in sentences."""
    tests, unit, tested = summary["tests"], summary["unit"], summary["tested"]
    people = ", ".join(f"{label}: {n}" for label, n in summary["people"].items())
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
    if "found_by_both" in tests["glm"]:  # tests of an older version did not count these
        lines.append(_more_than_input(tests["salient"]["found"], tests["glm"], unit))
    if (null := summary.get("refits")) is not None:
        n = null["n"]
        lines.append(
            f"Against {n} refits on permuted labels, {null['found']} {unit}s have a corrected p of at most "
            f"0.05; the smallest is {null['least_p']:.3f}, and could be 1/{n + 1} = {1 / (n + 1):.3f}."
        )
    return " ".join(lines)


def _more_than_input(found: int, glm: Mapping[str, Any], unit: str) -> str:
    """Return in one sentence whether the map shows more than a t-test of each value of the input."""
    other, both = glm["found"], glm["found_by_both"]
    if not found:
        said = f"no, it has no {unit} that is found, and that test has {other}"
    else:
        answer = "yes" if found > other else "in part" if found > both else "no"
        said = f"{answer}, {count(found, unit)} against {other}, {both} of them in both"
    alike = f"the maps correlate at {glm['correlation']:.2f}"
    return (
        f"Does the map show more than a test of each {unit} of the input by t? {said.capitalize()}; {alike}."
    )


def found_words(summary: Mapping[str, Any]) -> str:
    """Return in one sentence in how many places the group map was found to be more than noise."""
    found, tested, unit = summary["tests"]["salient"]["found"], summary["tested"], summary["unit"]
    return f"Tested on held-out people: {found} of {tested} {unit}s differ between the groups."
