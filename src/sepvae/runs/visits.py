"""`score_visits`: change of codes per year and reliability over scan and rescan, of held-out people."""

from pathlib import Path

import pandas as pd

from sepvae.batch import Source
from sepvae.codes import attribute_columns, code_columns
from sepvae.errors import DataError, listed
from sepvae.evaluation.patient_sheet import salient_loads
from sepvae.evaluation.visits import scans_in_order, visit_scores, yearly_slopes
from sepvae.files import write_table
from sepvae.plotting.visits import visit_figure
from sepvae.progress import Say, stage
from sepvae.run_folder import RunFolder
from sepvae.runs.figures import save_figure
from sepvae.runs.scoring import encode_run


def score_visits(
    run: str | Path,
    time: str,
    source: Source | None = None,
    out: str | Path | None = None,
    *,
    unseen_site: str | None = None,
    say: Say | None = None,
) -> pd.DataFrame:
    """
    Score the visits of the held-out people of a run, or of new people, and draw their salient load.

    Parameters
    ----------
    run : str or Path
        The run folder.
    time : str
        Attribute with the time of each scan in years, such as age.
    source : Source or None, default=None
        New scans; None takes the test part of the run. People that the run was fitted on are left out.
    out : str or Path or None, default=None
        CSV file to write, with a figure of the same name beside it. None writes `visits.csv` and
        `figures/visits.png` into the run folder, and nothing for new scans.
    unseen_site : {"refuse", "reference", "estimate"} or None, default=None
        What to do with new scans of sites that were not fitted, as in `map_run`.
    say : callable, default=None
        Called with each progress message.

    Returns
    -------
    DataFrame
        As `visit_scores`, with a column time; measures are salient_load, where 20 controls were in training
        and 20 held out, and all codes.

    Raises
    ------
    RunFolderError
        If the folder holds no codes.
    DataError
        If the run has no such attribute, it is no time in years, or people have one visit each.
    """
    folder = RunFolder(run)
    codes = folder.codes.required()
    if time not in (known := attribute_columns(codes)):
        got = f"got {time!r}; fit with --attribute {time!r}"
        raise DataError(f"--time: wanted an attribute of {run} ({listed(known) or 'it has none'}), {got}")
    if source is None:
        scans = codes[codes["split"] == "test"]
    else:
        scans = _of_others(encode_run(run, source, unseen_site=unseen_site, say=say), codes, say)
    measures = code_columns(scans, "both")
    load = salient_loads(scans[code_columns(scans, "salient")].to_numpy(float), codes)
    scans = scans_in_order(scans.assign(salient_load=load), time)
    if has_load := bool(scans["salient_load"].notna().all()):
        measures.insert(0, "salient_load")
    elif say is not None:
        say("note: no salient load: it needs 20 controls in training and 20 held out; codes are scored")
    n_alike = int(scans.duplicated(["group", time]).sum())
    if say is not None and n_alike and (scans[time] % 1 == 0).all():
        say(
            f"note: {time} has whole numbers alone, and {n_alike} scans have that of another scan of the "
            "person: taken as scan and rescan; if visits apart share a number, name a finer time"
        )
    with stage("scoring visits", say):
        scores = visit_scores(scans, time, measures).assign(time=time)
    if out is None and source is not None:
        return scores
    file = folder.visits.path if out is None else Path(out)
    write_table(file, scores)
    later = yearly_slopes(scans[measures[:1]].to_numpy(), scans[time].to_numpy(), scans["group"].to_numpy())
    if has_load and len(later):
        figures = folder.figures if out is None else file.parent
        save_figure(figures, file.stem, visit_figure(scans[scans["group"].isin(later.index)], time))
    return scores


def _of_others(scans: pd.DataFrame, codes: pd.DataFrame, say: Say | None) -> pd.DataFrame:
    """Return codes of new scans, without people that the run was fitted on."""
    fitted = scans["group"].isin(codes.loc[codes["split"] != "test", "group"]) & (scans["split"] != "unknown")
    if fitted.all():
        raise DataError("visits: the run was fitted on all of these people; give scans of others")
    if fitted.any() and say is not None:
        say(f"note: {scans.loc[fitted, 'group'].nunique()} people that were fitted on are left out")
    return scans[~fitted].reset_index(drop=True)
