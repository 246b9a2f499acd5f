"""One spec in Python, recipes, on the command line and in recipe.yaml of a run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from pydantic import ValidationError

from sepvae.cli.app import app
from sepvae.data import read_image_folder
from sepvae.data.spec import DataSpec, option_name, read_spec, spec_of_run
from sepvae.errors import DataError


def options_of(command: str) -> dict[str, str]:
    """Help of each option of a command, by its name."""
    known = typer.main.get_command(app).commands[command].params
    return {option.opts[0].removeprefix("--"): option.help or "" for option in known}


def test_every_field_is_an_option_of_fit_with_its_help() -> None:
    options = options_of("fit")
    for name, field in DataSpec.model_fields.items():
        assert options[option_name(name).replace("_", "-")] == field.description


def test_check_has_the_options_that_list_samples() -> None:
    assert {"image-size", "channels", "fit", "memory"}.isdisjoint(options_of("check"))
    assert {"label", "mask", "encoding", "attribute", "target"} <= options_of("check").keys()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": "a"}, "image_size: wanted pixels, such as 64 or 48x64, or voxels"),
        *(
            ({"image_size": size}, "image_size: wanted pixels")
            for size in (0, (8, 0), 6.5, (3.0, 3.0), "3.5")
        ),
        (
            {"attribute": ["age:number"]},
            "attribute: age:number: wanted one of continuous, categorical, got 'num",
        ),
        ({"fit": "stretch"}, "fit: wanted 'pad', 'crop' or 'squash', got 'stretch'"),
        ({"channels": 2}, "channels: wanted 1 or 3, got 2"),
        ({"limit": 0}, "limit: wanted greater than or equal to 1, got 0"),
        ({"memory": float("inf")}, "memory: wanted a number of 0 or more, got inf"),
        ({"labell": "dx"}, "labell: no such key; did you mean label"),
    ],
)
def test_a_wrong_value_is_one_line(fields: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_spec(fields)


def test_known_keys_are_listed_once_and_both_names_are_taken() -> None:
    with pytest.raises(DataError, match="no such key; there are") as error:
        read_spec({"xyz": "a"})
    keys = str(error.value).partition("there are ")[2].split(", ")
    assert [key for key in keys if key.rstrip("s") in ("target", "attribute")] == ["target", "attribute"]
    assert read_spec({"targets": ["a"], "attribute": ["b"]}) == read_spec(
        {"target": ["a"], "attributes": ["b"]}
    )


@pytest.mark.parametrize("names", [("target", "targets"), ("attribute", "attributes"), ("group", "subject")])
def test_both_names_of_a_field_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ValidationError, match=f"{' and '.join(names)} are one key; give one of both"):
        DataSpec.model_validate(dict.fromkeys(names, "a"))


@pytest.mark.parametrize("missing", [-9999, (-9999,), np.array([-9999]), [np.int64(-9999)], {"-9999"}])
def test_codes_of_missing_values_may_be_numbers(missing: object) -> None:
    assert read_spec({"missing": missing}).missing == ["-9999"]


def test_three_equal_sides_are_no_size_of_images(folder: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"image_size: wanted a side or \(height, width\)"):
        read_image_folder(folder("a/1.png", "b/1.png"), image_size=(8, 8, 8))  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    spec = read_spec({"limit": np.int64(3), "image_size": np.int64(8), "memory": np.float32(2)})
    assert (spec.limit, spec.image_size, spec.memory) == (3, 8, 2)


def test_what_older_runs_record_is_read() -> None:
    recorded = {"reader": "regions", "name": "t.csv", "image_size": 64, "mask": "m.nii", "group": "who"}
    recorded |= {"label": "dx", "attributes": {"age": None}, "features": ["x*"], "split": "drawn", "limit": 3}
    spec = spec_of_run(recorded)
    assert (spec.label, spec.attributes, spec.features) == ("dx", {"age": None}, ["x*"])
    assert (spec.mask, spec.limit) == (None, None)


@pytest.mark.parametrize("name", ["target", "targets", "attribute", "attributes"])
def test_none_is_the_default_of_every_field(name: str) -> None:
    assert read_spec({name: None}) == DataSpec()
    assert read_spec({name: None}, DataSpec(label="dx")) == DataSpec(label="dx")
