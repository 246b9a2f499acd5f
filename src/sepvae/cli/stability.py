"""`sepvae stability`: fit several times on one split, and say whether the fits agree."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from sepvae.cli import load_torch, tell
from sepvae.cli.benchmark import (
    Contenders,
    Jobs,
    Scheduler,
    Threads,
    choose_contenders,
    live_table,
    on_scheduler,
)
from sepvae.cli.options import (
    Continued,
    Data,
    Method,
    Preset,
    RecipeName,
    Set,
    Split,
    SplitSeed,
    TestSize,
    data_options,
    split_options,
    typed_options,
)
from sepvae.errors import DataError, count


@data_options()
def stability(
    context: typer.Context,
    data: Data,
    *,
    out: Continued,
    seeds: Annotated[int, typer.Option(min=0, help="Fits with seeds 0, 1, .., on all training people.")] = 5,
    bootstraps: Annotated[
        int, typer.Option(min=0, help="Fits with seed 0 on resampled training people, whole patients.")
    ] = 0,
    recipe: RecipeName = None,
    method: Method = "SepVAE",
    preset: Preset = "default",
    contender: Contenders = None,
    set_: Set = None,
    fields: dict[str, Any],
    split: Split = None,
    test_size: TestSize = 0.2,
    split_seed: SplitSeed = 0,
    jobs: Jobs = 1,
    threads: Threads = 1,
    scheduler: Scheduler = None,
) -> None:
    """Fit several times, and say whether another seed, or other people, give the same codes and maps."""
    if contender and {"method", "preset"} & typed_options(context):
        raise DataError(
            "--contender: names method and preset, as in SepVAE:paper; leave --method and --preset out"
        )
    load_torch()

    from sepvae.benchmark.stability import make_fits, run_stability
    from sepvae.cli.fitting import load_with_notes
    from sepvae.data.spec import read_spec
    from sepvae.recipes.recipe import spec_of_data
    from sepvae.report.stability import describe_stability
    from sepvae.runs.dataset import read_dataset

    chosen = None if recipe is None else load_with_notes(recipe)
    wanted = choose_contenders(chosen, contender or [f"{method}:{preset}"], set_)
    spec = spec_of_data(data, read_spec(fields), chosen, split=split)
    dataset = read_dataset(data, spec, chosen, split=split, **split_options(context, test_size, split_seed))
    for note in dataset.notes:
        tell(f"note: {note}")
    background = dataset.background or "background"
    wanted = [c.with_severity(spec.target_severity) for c in wanted]
    wanted = [replace(c, keywords={**c.keywords, "background": background}) for c in wanted]
    fits, (train, test) = make_fits(wanted, seeds, bootstraps), dataset.pairs[0]
    how: dict[str, Any] = {"background": background, "kinds": dataset.kinds, "threads": threads}
    how |= {"recipe": "" if chosen is None else chosen.name, "jobs": None if scheduler else jobs}
    with on_scheduler(scheduler), live_table(fits) as watch:
        table = run_stability(fits, train, test, out, **how, watch=watch, say=tell)
    n_background = sum(label == background for label in test.labels)
    n_target = count(len(test) - n_background, "held-out target")
    typer.echo(f"on {n_target} and {n_background} of the background")
    for line in describe_stability(table):
        typer.echo(line)
    typer.echo(f"all scores, figures and maps: {out}")
