import pickle

import pytest

from sepvae.errors import DataError, RunFolderError, TrainingError


@pytest.mark.parametrize("error", [DataError, RunFolderError, TrainingError])
def test_messages_are_one_line_of_words_that_end(error):
    told = str(error(f"t.csv: got 'a\nb' and {'x' * 5000}y, fix it"))
    assert told.startswith("t.csv: got 'a b' and xxx")
    assert told.endswith("xxxy, fix it")
    assert len(told) < 400


def test_training_errors_go_from_process_to_process_with_their_samples():
    error = pickle.loads(pickle.dumps(TrainingError("astray", {3: ["sub-1"]})))  # noqa: S301
    assert (str(error), error.batches) == ("astray", {3: ["sub-1"]})
