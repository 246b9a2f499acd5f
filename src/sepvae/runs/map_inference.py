"""`infer_maps`: whether the group map of a run is more than noise, beside tests of the input itself."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from matplotlib.figure import Figure

from sepvae.batch import AnyArray, FloatArray, Source
from sepvae.checks import joined
from sepvae.data.nifti import write_volume
from sepvae.data.surfaces import write_surface
from sepvae.errors import CollapseWarning, DataError
from sepvae.evaluation.agreement import congruence
from sepvae.evaluation.map_inference import (
    N_PERMUTATIONS,
    GroupTest,
    cluster_table,
    difference_test,
    p_by_largest,
    t_test,
)
from sepvae.evaluation.metrics import MAX_P
from sepvae.interpretation.map_folder import can_map
from sepvae.interpretation.maps import SalientMaps, mean_image
from sepvae.interpretation.tested_values import (
    Mask,
    added_values,
    covariates_of,
    filled,
    input_values,
    people_of,
    voxels_to_test,
    w_scores,
)
from sepvae.methods import load
from sepvae.plotting.maps import compared_images, compared_volumes
from sepvae.plotting.tables import compared_regions
from sepvae.progress import Say, stage
from sepvae.report.contents import WORDS
from sepvae.report.inference import inference_words
from sepvae.run_folder import InferenceFolder, RunFolder
from sepvae.runs.figures import save_figure
from sepvae.runs.rerunning import model_of
from sepvae.runs.resume import use_threads

FIGURE = "map_inference"
QUIET = {"progress_bar": False, "num_workers": 0}
STATISTIC = {"salient": "difference", "input": "difference", "glm": "t", "w": "t"}  # of each test


def infer_maps(
    run: str | Path,
    train: Source,
    test: Source,
    *,
    adjust_for: Sequence[str] | None = None,
    refits: int = 0,
    jobs: int = 1,
    n_permutations: int = N_PERMUTATIONS,
    say: Say = print,
) -> Path:
    """
    Test the group map of the held-out people of a run, and the input of the same people.

    Parameters
    ----------
    run : str or Path
        The run folder; the tests are written into its folder `inference`.
    train, test : Source
        The samples of the run, in the order of its `split.csv`.
    adjust_for : sequence of str or None, default=None
        Attributes that the linear models adjust for; None takes all that everyone has and that vary among
        training controls.
    refits : int, default=0
        Number of fits on permuted labels. Those of an earlier call are kept, so that one that was stopped
        goes on.
    jobs : int, default=1
        Number of refits that run at once.
    n_permutations : int, default=1000
        Number of permutations of held-out people behind each p-value but those of refits.
    say : callable, default=print
        Called with each progress message.

    Returns
    -------
    Path
        The folder, with the files that `docs/guide/maps.md` lists.

    Raises
    ------
    DataError
        If the method has no decoder, an attribute is not known, or people are too few.
    """
    folder, model = RunFolder(run), load(run)
    if not can_map(model, test):
        raise DataError(f"inference: wanted a method with a decoder, got {type(model).__name__}")
    maps, people = SalientMaps(model, test), people_of(model, test)
    covariates = covariates_of(model, train, test, folder.kinds(), adjust_for)
    inside, n = voxels_to_test(maps), n_permutations
    how = people.is_target, covariates[1].iloc[people.first], inside
    with use_threads(folder.recipe.required().get("threads")):
        with stage("testing what the salient part adds", say):
            added = people.weights @ added_values(maps, inside)
            tests = {"salient": difference_test(added, *how, n_permutations=n)}
            t = t_test(added, *how, n_permutations=0).statistic
        with stage("testing the input of the same people", say):
            x_train, x = (input_values(one, inside) for one in (SalientMaps(model, train), maps))
            values = people.weights @ filled(x, x_train)
            tests["input"] = difference_test(values, *how, n_permutations=n)
            tests["glm"] = t_test(values, *how, n_permutations=n)
            try:
                controls = np.asarray(train.labels) == model.background_
                values = people.weights @ w_scores(x_train, x, covariates, controls)
                tests["w"] = t_test(values, people.is_target, None, inside, n_permutations=n)
            except DataError as error:
                say(f"note: no w-maps: {error}")
    fit = partial(_refit, folder, train, test, covariates[1], inside)
    adjusted = [str(name) for name in how[1]]
    null = _refits(fit, folder.inference, adjusted, refits, jobs, say)
    largest = [np.abs(difference).max(initial=0) for difference in null]
    p_null = p_by_largest(tests["salient"].statistic, largest) if null else None
    tested = Tested(maps, inside, tests, t, p_null)
    with stage("writing and drawing the tests", say):
        save_figure(folder.figures, FIGURE, _write(tested, folder.inference))
    targets = joined([str(label) for label in model.classes_ if label != model.background_])
    counts = {str(model.background_): int((~people.is_target).sum()), targets: int(people.is_target.sum())}
    summary = {"people": counts, "adjusted_for": adjusted, "permutations": n} | tested.summary(refits)
    folder.inference.summary.write(summary)
    say(inference_words(summary))
    return folder.inference.path


class Tested(NamedTuple):
    """All tests of a run, of values (v,) that lie `inside` a window."""

    maps: SalientMaps
    inside: Mask | None  # None for tables
    tests: Mapping[str, GroupTest]
    t: FloatArray  # of what the salient part adds
    p_null: FloatArray | None  # of what the salient part adds, against refits

    def summary(self, refits: int) -> dict[str, Any]:
        """Return the numbers of `inference.json`."""
        own, of_tests = self.tests["salient"], dict[str, Any]()
        for part, test in self.tests.items():
            of_tests[part] = {
                "found": int(test.found.sum()),
                "least_p": float(10 ** -test.logp.max(initial=0)),
                "largest": float(np.abs(test.statistic).max(initial=0)),
                "correlation": congruence(test.statistic, own.statistic),
                "found_or_in_cluster": int(test.outlined.sum()),
                "found_by_both": int((test.found & own.found).sum()),
            }
        unit = WORDS[1 + len(self.maps.source.sample_shape)]["value"]
        summary = {"unit": unit, "tested": len(own.logp), "tests": of_tests}
        if (p := self.p_null) is not None:
            found = int((p <= MAX_P).sum())
            summary["refits"] = {"n": refits, "found": found, "least_p": float(p.min(initial=1))}
        return summary

    def arrays(self) -> dict[tuple[str, str], AnyArray]:
        """Return all maps (v,) by test and statistic."""
        arrays = {("salient", "t"): self.t}
        for part, test in self.tests.items():
            arrays |= {(part, STATISTIC[part]): test.statistic, (part, "logp"): test.logp}
            if test.cluster_logp is not None:
                arrays[part, "clusterlogp"] = test.cluster_logp
        return arrays if self.p_null is None else arrays | {("salient", "refitlogp"): -np.log10(self.p_null)}

    def placed(self, values: AnyArray) -> AnyArray:
        """Return values (v,) at their place: a volume on the full grid, or an image (h, w)."""
        inside = np.asarray(self.inside, dtype=bool)
        window = np.zeros(inside.shape)
        window[inside] = values
        return window[..., 0] if self.maps.grid is None else self.maps.grid.back(window)


def _write(tested: Tested, folder: InferenceFolder) -> Figure:
    """Write all maps in place of those of an earlier call; refits stay. Return the figure of all tests."""
    folder.path.mkdir(exist_ok=True)
    for file in folder.path.iterdir():
        if file.is_file():
            file.unlink()
    grid, tests = tested.maps.grid, tested.tests
    if (mesh := tested.maps.mesh) is not None:
        for (part, statistic), values in tested.arrays().items():
            write_surface(folder.surface(part, statistic), mesh.back(values))
        on_mesh = {
            part: (mesh.back(test.statistic), mesh.back(test.outlined)) for part, test in tests.items()
        }
        return compared_volumes(on_mesh, mesh.valid, mesh)
    if tested.inside is None:
        folder.regions.write(_regions(tested))
        return compared_regions(folder.regions.required())
    placed = {name: tested.placed(values) for name, values in tested.arrays().items()}
    rows = {
        part: (placed[part, STATISTIC[part]], tested.placed(test.outlined) > 0)
        for part, test in tests.items()
    }
    if grid is None:
        folder.maps.write({"_".join(name): values for name, values in placed.items()})
        return compared_images(rows)
    for (part, statistic), values in placed.items():
        write_volume(folder.volume(part, statistic), values, grid)
    tables = []
    for part, test in tests.items():
        logps = placed[part, "logp"], placed[part, "clusterlogp"]
        tables.append(cluster_table(placed[part, STATISTIC[part]], logps, test.forming, grid.affine))
        tables[-1].insert(0, "map", part)
    folder.clusters.write(pd.concat(tables, ignore_index=True))
    return compared_volumes(rows, grid.back(mean_image(tested.maps)), grid)


def _regions(tested: Tested) -> pd.DataFrame:
    """Return statistics and corrected p of each feature; the largest difference of the map comes first."""
    columns: dict[str, Any] = {"feature": tested.maps.feature_names}
    for (part, statistic), values in tested.arrays().items():
        if statistic.endswith("logp"):
            columns[f"{part}_{'p' if statistic == 'logp' else 'p_refits'}"] = 10**-values
        else:
            columns[f"{part}_{statistic}"] = values
    table = pd.DataFrame(columns)
    return table.sort_values("salient_difference", key=abs, ascending=False, kind="stable")


def _refits(
    fit: Callable[[int], tuple[int, AnyArray]],
    folder: InferenceFolder,
    adjusted_for: list[str],
    n: int,
    jobs: int,
    say: Say,
) -> list[AnyArray]:
    """Return the group map of n fits on permuted labels, (v,) each; those that are missing are fitted."""
    if not n:
        return []
    files, todo = {k: folder.refit(k) for k in range(1, n + 1)}, []
    for k, file in files.items():
        if (old := file.read()) is None or old["adjusted_for"].tolist() != adjusted_for:
            todo.append(k)
    with stage(f"refits on permuted labels ({len(todo)} of {n} to do)", say) as progress:
        found = Parallel(jobs, return_as="generator_unordered")(delayed(fit)(k) for k in todo)
        for done, (k, difference) in enumerate(found, start=1):
            files[k].path.parent.mkdir(parents=True, exist_ok=True)
            files[k].write({"difference": difference, "adjusted_for": np.array(adjusted_for, dtype=str)})
            progress(done, len(todo))
    return [known["difference"] for file in files.values() if (known := file.read()) is not None]


def _refit(
    run: RunFolder, train: Source, test: Source, covariates: pd.DataFrame, inside: Mask | None, k: int
) -> tuple[int, AnyArray]:
    """Fit as a run was fitted, on permuted labels, and return the difference between held-out maps."""
    model, rng = model_of(run.path), np.random.default_rng((0, k))
    known = model.get_params()
    model.set_params(**{name: value for name, value in QUIET.items() if name in known})
    train, test = (permuted(part, rng, known.get("severity")) for part in (train, test))
    with use_threads(run.recipe.required().get("threads")), warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)  # groups that do not differ need no salient code
        model.fit(train)
        people, values = people_of(model, test), added_values(SalientMaps(model, test), inside)
        adjusted = covariates.iloc[people.first]
        found = difference_test(people.weights @ values, people.is_target, adjusted, n_permutations=0)
        return k, found.statistic


def permuted(source: Source, rng: np.random.Generator, severity: str | None = None) -> Source:
    """Return a source in which each person has the label, and the severity, of another one."""
    _, first, person = np.unique(
        np.asarray(source.groups).astype(str), return_index=True, return_inverse=True
    )
    donor = first[rng.permutation(len(first))][person]
    mixed: Any = copy(source)
    mixed.labels = np.asarray(source.labels)[donor]
    if severity is not None:
        mixed.attributes = source.attributes.assign(
            **{severity: source.attributes[severity].to_numpy()[donor]}
        )
    return mixed  # type: ignore[no-any-return]
