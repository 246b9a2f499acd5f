"""Sentences on the tests of a group map."""

from typing import Any

import pytest

from sepvae.report.inference import found_words, inference_words


def summary(found: int, glm: int, both: int) -> dict[str, Any]:
    of_input = {"found": glm, "correlation": 0.65, "found_by_both": both}
    tests = {"salient": {"found": found, "correlation": 1.0}, "input": of_input, "glm": of_input}
    about = {"unit": "voxel", "tested": 263, "permutations": 1000, "adjusted_for": ["age"]}
    return about | {"people": {"hc": 20, "scz": 20}, "tests": tests}


@pytest.mark.parametrize(
    ("found", "glm", "both", "answer"),
    [
        (10, 0, 0, "Yes, 10 voxels against 0, 0 of them in both"),
        (5, 9, 3, "In part, 5 voxels against 9, 3 of them in both"),
        (5, 9, 5, "No, 5 voxels against 9, 5 of them in both"),
        (0, 2, 0, "No, it has no voxel that is found, and that test has 2"),
    ],
)
def test_one_sentence_sets_the_map_beside_tests_of_voxels(
    found: int, glm: int, both: int, answer: str
) -> None:
    said = inference_words(summary(found, glm, both))
    asked = "Does the map show more than a test of each voxel of the input by t?"
    assert f"{asked} {answer}; the maps correlate at 0.65." in said


def test_captions_say_how_many_were_found() -> None:
    expected = "Tested on held-out people: 0 of 263 voxels differ between the groups."
    assert found_words(summary(0, 0, 0)) == expected
