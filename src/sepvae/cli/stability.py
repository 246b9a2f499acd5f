"""`sepvae stability`: fit several times on one split, and say whether the fits agree."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sepvae.cli import tell
from sepvae.cli.benchmark import (
    Contenders,
    Jobs,
    Scheduler,
    Threads,
    choose_contenders,
    live_table,
    on_scheduler,
)
from sepvae.cli.options import Data, RecipeName, Set, Split, SplitSeed, TestSize, data_options, typed_options
from sepvae.errors import DataError, count


@data_options()
def stability(
    context: typer.Context,
    data: Data,
    *,
    out: Annotated[
        Path, typer.Option(help="Folder to make; one that was stopped goes on.", show_default=False)
    ],
    seeds: Annotated[int, typer.Option(min=0, help="Fits with seeds 0, 1, .., on all training people.")] = 5,
    bootstraps: Annotated[
        int, typer.Option(min=0, help="Fits with seed 0 on resampled training people, whole patients.")
    ] = 0,
    recipe: RecipeName = None,
    method: Annotated[str, typer.Option(help="As for `fit`.")] = "SepVAE",
    preset: Annotated[str, typer.Option(help="As for `fit`.")] = "default",
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
    from dataclasses import replace

    import numpy as np

    from sepvae.benchmark.stability import make_fits, run_stability
    from sepvae.cli.fitting import load_with_notes
    from sepvae.data.spec import read_spec
    from sepvae.recipes.recipe import spec_of_data
    from sepvae.report.stability import describe_stability
    from sepvae.runs.dataset import read_dataset

    typed = typed_options(context)
    if contender and {"method", "preset"} & typed:
        raise DataError(
            "--contender: names method and preset, as in SepVAE:paper; leave --method and --preset out"
        )
    chosen = None if recipe is None else load_with_notes(recipe)
    wanted = choose_contenders(chosen, contender or [f"{method}:{preset}"], set_)
    spec = spec_of_data(data, read_spec(fields), chosen, split=split)
    how: dict[str, Any] = {"test_size": test_size} if "test_size" in typed else {}  # else as the recipe says
    how |= {"seed": split_seed} if "split_seed" in typed else {}
    dataset = read_dataset(data, spec, chosen, split=split, **how)
    for note in dataset.notes:
        tell(f"note: {note}")
    background = dataset.background or "background"
    wanted = [c.with_severity(spec.target_severity) for c in wanted]
    wanted = [replace(c, keywords={**c.keywords, "background": background}) for c in wanted]
    fits = make_fits(wanted, seeds, bootstraps)
    with on_scheduler(scheduler), live_table(fits) as watch:
        table = run_stability(
            fits,
            *dataset.pairs[0],
            out,
            background=background,
            kinds=dataset.kinds,
            recipe="" if chosen is None else chosen.name,
            jobs=None if scheduler else jobs,
            threads=threads,
            watch=watch,
            say=tell,
        )
    labels = np.asarray(dataset.pairs[0][1].labels)
    n_target = int((labels != background).sum())
    typer.echo(f"on {count(n_target, 'held-out target')} and {len(labels) - n_target} of the background")
    for line in describe_stability(table):
        typer.echo(line)
    typer.echo(f"all scores, figures and maps: {out}")
