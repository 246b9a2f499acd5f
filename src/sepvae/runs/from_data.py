"""From data on disk to a run folder in one call, as `sepvae fit` does it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.base import clone

from sepvae.checks import check_choice, joined
from sepvae.data.spec import DataSpec, read_spec
from sepvae.errors import DataError, for_caller, nearest
from sepvae.methods.base import ContrastiveEstimator
from sepvae.progress import Say, silence
from sepvae.recipes import Recipe, load_recipe
from sepvae.recipes.recipe import spec_of_data
from sepvae.registry import find_method, method_names
from sepvae.runs.dataset import read_dataset
from sepvae.runs.fitting import fit_run
from sepvae.runs.loggers import check_logger
from sepvae.runs.resume import check_new_run
from sepvae.training.distributed import check_launch


def make_model(
    method: str, preset: str, recipe: Recipe | None, keywords: dict[str, Any] | None = None
) -> Any:
    """Return a method with the keywords of its preset, overridden by the recipe's, then by `keywords`."""
    check_choice("method", method, method_names())
    cls = find_method(method)
    if recipe is None:
        return cls.from_preset(preset, **keywords or {})
    given = recipe_keywords(recipe, method, preset) | (keywords or {})
    return cls(**cls.presets.get(preset, {}) | given)


def recipe_keywords(recipe: Recipe, method: str, preset: str) -> dict[str, Any]:
    """Return the keywords that a recipe sets for a method; raise DataError if the method lacks one."""
    given = recipe.keywords(method, preset)
    check_keywords(given, method, f"{recipe.file}: methods.{method}.{preset}")
    return given


def check_keywords(names: Iterable[str], method: str, where: str) -> None:
    """Raise DataError if a method lacks a keyword."""
    # Callbacks and loggers are objects, which have no form as text.
    known = [name for name in find_method(method)().get_params() if name not in ("callbacks", "logger")]
    if unknown := [name for name in names if name not in known]:
        raise DataError(f"{where}: {method} has no keyword {unknown[0]!r}; {nearest(unknown[0], known)}")


def severity_keywords(method: type[ContrastiveEstimator], name: str | None) -> dict[str, Any]:
    """Return the keywords of a method for the severity of targets in an attribute; raise if it has none."""
    if name is None:
        return {}
    if not method.capabilities.severity:
        able = joined([other for other in method_names() if find_method(other).capabilities.severity])
        fact = f"{method.__name__} takes groups of people, not how ill each is"
        raise DataError(f"--target-severity: {fact}; leave it out, or take {able}")
    return {"target": "severity", "severity": name}


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
    test_size, split_seed : float and int, default=None
        Share of the samples to score on (whole patients), and seed; 0.2 and 0, or as the recipe says.
    resume : bool, default=False
        Go on with a fit that was stopped, as for `fit_run`.
    say : callable, default=print
        Called with each note and progress message.
    scoring : dict, default=None
        Further keywords of `fit_run`: `n_permutations`, `removal`, `thumbnails`, `logger` and `command`.
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
    >>> how = {"images": "path", "label": "dx", "attributes": ["age:continuous"]}
    >>> scores = fit_folder("participants.tsv", "runs/first", **how)  # doctest: +SKIP
    """
    data, out, file = Path(data), Path(out), None if split is None else Path(split)
    chosen = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
    model = make_model(method, preset, chosen) if isinstance(method, str) else clone(method)
    if of_method := sorted(fields.keys() & model.get_params().keys() - DataSpec.model_fields.keys()):
        name, cls = of_method[0], type(model).__name__
        raise DataError(f"{name}: is a keyword of the method; give method={cls}({name}=..)")
    spec = spec_of_data(data, read_spec(fields, spec), chosen, split=file)
    how = {"split": file, "test_size": test_size, "seed": split_seed}
    return fit_data(data, out, model, spec, chosen, preset, scoring or {}, resume=resume, say=say, **how)


def fit_data(
    data: Path,
    out: Path,
    model: ContrastiveEstimator,
    spec: DataSpec,
    recipe: Recipe | None,
    preset: str,
    scoring: dict[str, Any],
    *,
    resume: bool,
    say: Say,
    **split_by: Any,
) -> pd.DataFrame | None:
    """Fit a model to data that are read by a checked spec, and split as for `read_dataset`."""
    check_logger(scoring.get("logger"), model)  # before data are read
    if spec.background is None and model.background is not None:
        spec = spec.model_copy(update={"background": str(model.background)})
    if spec.target_severity is None and (name := getattr(model, "severity", None)) is not None:
        spec = read_spec({"target_severity": name}, spec)
    model.set_params(**severity_keywords(type(model), spec.target_severity))
    if model.capabilities.epochs:
        check_launch(model.devices, model.num_nodes)
    if not model.is_first_process():
        say = silence
    elif not resume:
        check_new_run(out)
    dataset = read_dataset(data, spec, recipe, **split_by)
    for note in dataset.notes:
        say(for_caller(f"note: {note}"))
    if dataset.background is not None:
        model.set_params(background=dataset.background)
    named = {} if recipe is None else {"recipe": {"name": recipe.name, "preset": preset}}
    return fit_run(
        model,
        *dataset.pairs[0],
        out,
        about_data=dataset.about | named,
        kinds=dataset.kinds,
        quality_metrics=dataset.quality_metrics,
        **scoring,
        resume=resume,
        say=say,
    )
