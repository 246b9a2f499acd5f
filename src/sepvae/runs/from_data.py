"""From data on disk to a run folder in one call, as `sepvae fit` does it."""

from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.base import clone

from sepvae.data.spec import DataSpec, read_spec
from sepvae.errors import DataError
from sepvae.methods.base import ContrastiveEstimator
from sepvae.progress import Say, silence
from sepvae.recipes import Recipe, load_recipe
from sepvae.runs.dataset import check_recipe, read_dataset, spec_with_recipe
from sepvae.runs.fitting import fit_run
from sepvae.runs.folder import check_new_run
from sepvae.runs.models import make_model
from sepvae.runs.splitting import Splitting
from sepvae.training.distributed import check_launch


def fit_folder(
    data: str | Path,
    out: str | Path,
    method: str | ContrastiveEstimator = "SepVAE",
    *,
    spec: DataSpec | None = None,
    preset: str = "default",
    recipe: str | Path | Recipe | None = None,
    split: str | Path | None = None,
    test_size: float | None = None,
    split_seed: int | None = None,
    resume: bool = False,
    say: Say = print,
    scoring: dict[str, Any] | None = None,
    **fields: Any,
) -> pd.DataFrame | None:
    """
    Read data, fit on the training part, score the test part, and write a run folder, as `sepvae fit` does.

    Parameters
    ----------
    data : str or Path
        Data of any format, as for `sepvae.data.load`.
    out : str or Path
        The run folder; it must not exist, except with `resume`.
    method : str or estimator, default="SepVAE"
        Name of a method, whose keywords are those of the preset and the recipe; or an estimator.
    spec : DataSpec, default=None
        How the data are read, where `fields` do not say it.
    preset : str, default="default"
        Preset of a method that is named.
    recipe : str, Path or Recipe, default=None
        Experiment, by its name or file, for all that is not given otherwise.
    split : str or Path, default=None
        Table of id and split (train or test), such as another run's split.csv.
    test_size : float, default=None
        Share of the samples to score on, whole patients; 0.2, or as the recipe says.
    split_seed : int, default=None
        Seed of the split; 0, or as the recipe says.
    resume : bool, default=False
        Go on with a fit that was stopped, as for `fit_run`.
    say : callable, default=print
        Called with each note and progress message.
    scoring : dict, default=None
        Further keywords of `fit_run`: `n_permutations`, `removal`, `thumbnails` and `command`.
    **fields : object
        Fields of `DataSpec`, such as `label="diagnosis"`.

    Returns
    -------
    DataFrame or None
        The scores, as in `scores.csv`; None on ranks above 0.

    Raises
    ------
    DataError
        If the data or a keyword is invalid.
    RunFolderError
        If the run folder exists, or, with `resume`, holds another fit.

    Examples
    --------
    >>> scores = fit_folder(
    ...     "participants.tsv", "runs/first", images="path", label="dx", attributes=["age:continuous"]
    ... )  # doctest: +SKIP
    """
    data, out = Path(data), Path(out)
    chosen = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
    model = make_model(method, preset, chosen) if isinstance(method, str) else clone(method)
    file = None if split is None else Path(split)
    if of_method := sorted(fields.keys() & model.get_params().keys() - DataSpec.model_fields.keys()):
        name, cls = of_method[0], type(model).__name__
        raise DataError(f"{name}: is a keyword of the method; give method={cls}({name}=..)")
    spec = read_spec(fields, spec)
    if chosen is not None:
        check_recipe(data, chosen)
        spec = spec_with_recipe(data, chosen, spec, split=file)
    if spec.background is None and model.background is not None:
        spec = spec.model_copy(update={"background": str(model.background)})
    if model.capabilities.epochs:
        check_launch(model.devices, model.num_nodes)
    if not model.is_first_process():
        say = silence
    elif not resume:
        check_new_run(out)
    dataset = read_dataset(data, spec, Splitting.of(chosen, file=file, test_size=test_size, seed=split_seed))
    for note in dataset.notes:
        say(f"note: {note}")
    if dataset.background is not None:
        model.set_params(background=dataset.background)
    named = {} if chosen is None else {"recipe": {"name": chosen.name, "preset": preset}}
    return fit_run(
        model,
        *dataset.pairs[0],
        out,
        about_data=dataset.about | named,
        kinds=dataset.kinds,
        quality_metrics=dataset.quality_metrics,
        **(scoring or {}),
        resume=resume,
        say=say,
    )
