import pickle

import pytest

from sepvae.errors import DataError, RunFolderError, TrainingError, on_command_line


@pytest.mark.parametrize("error", [DataError, RunFolderError, TrainingError])
def test_messages_are_one_line_of_words_that_end(error):
    told = str(error(f"t.csv: got 'a\nb' and {'x' * 5000}y, fix it"))
    assert told.startswith("t.csv: got 'a b' and xxx")
    assert told.endswith("xxxy, fix it")
    assert len(told) < 400


def test_training_errors_go_from_process_to_process_with_their_samples():
    error = pickle.loads(pickle.dumps(TrainingError("astray", {3: ["sub-1"]})))  # noqa: S301
    assert (str(error), error.batches) == ("astray", {3: ["sub-1"]})


@pytest.mark.parametrize(
    ("message", "keywords"),
    [
        ("it exists; choose another --out, or remove it", "it exists; choose another out=, or remove it"),
        ("--test-size: wanted a share", "test_size: wanted a share"),
        ("name the labels, such as --label dx", "name the labels, such as label=dx"),
        ("name --background and --target", "name background= and target="),
        ("/data/--out/x.csv and a--b are not options", "/data/--out/x.csv and a--b are not options"),
    ],
)
def test_messages_name_keywords_in_python_and_options_on_the_command_line(message, keywords):
    assert str(DataError(message)) == keywords
    with on_command_line():
        error = DataError(message)
    assert str(error) == message
