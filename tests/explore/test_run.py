"""What is known and decoded of people, beside what the model makes of the data themselves."""

from typing import Any

import numpy as np
import pytest

from sepvae.explore import views
from sepvae.explore.run import ExploredRun
from sepvae.methods.base import Capabilities

KINDS = ["image_run", "volume_run", "table"]


@pytest.mark.parametrize("kind", KINDS)
def test_codes_decode_to_what_the_model_makes_of_the_samples(
    kind: str, request: pytest.FixtureRequest
) -> None:
    fitted = request.getfixturevalue(kind)
    run, test = fitted.explored(), fitted.samples.test
    row = len(fitted.samples.train) + 5
    one = test.select(np.array([5]))
    person = run.person(row)
    for salient, decoded in (("own", person.full), ("none", person.common_only)):
        wanted = run.model.reconstruct(one, salient)  # images are conditioned on age and sex
        if run.kind == "table":
            wanted = run.model.scaler_.transform(wanted)
        np.testing.assert_allclose(decoded, wanted[0], atol=1e-4)
    seen = run.model.prepare(one).take(np.arange(1)).x
    np.testing.assert_allclose(person.input, seen[0], atol=1e-6)


def test_a_swap_is_that_of_the_model(image_run: Any) -> None:
    run, (train, test) = image_run.explored(), image_run.samples[:2]
    a, b = len(train) + 3, 4
    wanted = run.model.swap(test.select(np.array([3])), train.select(np.array([4])))
    np.testing.assert_allclose(run.decode(a, run.salient[[b]]), wanted, atol=1e-4)


def test_without_data_the_input_is_that_of_examples_or_thumbnails(image_run: Any) -> None:
    run, data = image_run.explored(data=False), image_run.explored()
    held_out, trained = np.flatnonzero(run.in_test), np.flatnonzero(~run.in_test)
    found = {run.person(row).source: row for row in held_out}
    assert set(found) == {"examples.npz", "thumbnails.npz"}
    for source, row in found.items():
        image, wanted = run.person(row).input, data.person(row).input
        np.testing.assert_allclose(image, wanted, atol=1e-6 if source == "examples.npz" else 1 / 255)
        assert source in views.about_person(run, row)
    assert run.person(trained[0]).input is None
    assert "RUN DATA" in views.about_person(run, trained[0])
    assert "own age, sex" in views.about_person(run, trained[0])


def test_the_first_person_is_a_held_out_target_with_an_image(image_run: Any) -> None:
    run = image_run.explored(data=False)
    first = run.codes.iloc[run.first()]
    assert (first["split"], first["label"]) == ("test", "ill")
    assert run.person(run.first()).source == "examples.npz"


def test_people_are_found_by_a_part_of_their_id_with_the_one_that_is_shown(image_run: Any) -> None:
    run = image_run.explored()
    found = run.found("1-5", 0)
    assert found[0] == {"label": "0-0 (well)", "value": 0}
    assert [one["label"].split()[0] for one in found[1:]] == ["1-5", *(f"1-5{i}" for i in range(10))]
    assert len(run.found(None, None)) == 50


def test_the_sheet_has_attributes_and_no_load_with_few_controls(image_run: Any) -> None:
    run = image_run.explored()
    row = run.first()
    sheet = run.sheet(row)
    assert sheet["label"] == "ill (target)"
    assert sheet["part"] == "held out"
    assert sheet["sex"] == run.codes["sex"][row]
    assert float(sheet["age"]) == pytest.approx(run.codes["age"][row], abs=0.01)
    assert "no diagnosis" in run.note


def test_the_sheet_is_that_of_the_run(table: Any) -> None:
    run = table.explored()
    people = run.folder.people.required().set_index("id")
    row = run.first()
    known, sheet = people.loc[run.codes["id"][row]], run.sheet(row)
    assert sheet["salient load"] == f"{known['salient_load']:.2f}"
    assert sheet["nearest patients"] == known["nearest_patients"]
    assert "salient load" not in run.sheet(0)  # of the training part


def test_a_selection_has_all_columns_of_its_people(table: Any) -> None:
    run = table.explored()
    row = run.first()
    selected = run.selection([row, 0])
    assert selected["id"].tolist() == [run.codes["id"][row], run.codes["id"][0]]
    assert set(selected) == {*run.codes, *run.people}
    assert selected["salient_load"].isna().tolist() == [False, True]


def test_bars_are_of_the_features_that_the_salient_part_changes_most(table: Any) -> None:
    run = table.explored()
    row = run.first()
    person = run.person(row)
    added = person.full - person.common_only
    other = run.decode(row, run.salient[[0]])[0]
    first, second = views.person_bars(run, row, moved=other)["data"][::-1]
    order = first["y"][::-1]
    assert set(order) == set("abcd")
    by_name = dict(zip("abcd", added, strict=True))
    assert first["x"][::-1] == pytest.approx([by_name[name] for name in order], abs=1e-4)
    size = np.maximum(np.abs(added), np.abs(other - person.common_only))
    assert order[0] == "abcd"[size.argmax()]
    assert second["name"] == "after moving"


def test_a_method_without_decoder_has_codes_and_no_pictures(
    table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sepvae.SepVAE.capabilities", Capabilities(decoder=False))
    run = ExploredRun(table.path)
    assert not run.decodes
    assert not run.swaps
    assert "has no decoder" in views.about_person(run, 0)
    assert run.sheet(0)["label"]
