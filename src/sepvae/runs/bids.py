"""A run folder as a BIDS derivative: codes in tables of participants or sessions, and maps."""

import re
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepvae.codes import attribute_columns, code_columns
from sepvae.data.surfaces import read_hemisphere
from sepvae.errors import DataError
from sepvae.files import check_new, whole_folder, write_whole
from sepvae.mesh import SIDES, mesh_name
from sepvae.run_files import JsonFile
from sepvae.run_folder import MapFolder, RunFolder, bids_derivative

ENTITY = re.compile(r"(?:^|[/_])([a-z]+)-([A-Za-z0-9+]+)")
ENTITIES = "ses", "acq", "run", "hemi", "space"  # of an id, that names of maps keep, in this order
OWN_COLUMNS = "participant_id", "session_id"
GROUP = "group"  # folder of maps of groups
IGNORED = f"{GROUP}\n*_statmap.*\n"  # common names, which the schema of BIDS lacks
MAPS = VOLUME, SURFACE = ".nii.gz", ".shape.gii"
README = """\
{title}

Codes and maps of {method}, written by sepvae {version} from the run folder {run}.
participants.tsv, or sessions.tsv of the participants if some have several scans, has the posterior means
of the common and the salient code; the .json file beside it says what each column is. "split" tells who was
fitted on (train) and who was held out (test).
{maps}"""
OF_MAPS = """\
desc-salient_statmap: what the salient part adds to the image of a held-out person, in the units of the image.
{group}/ has means and effect sizes of groups.
"""


def export_bids(run: str | Path, out: str | Path, *, space: str | None = None) -> Path:
    """
    Write codes and maps of a run as a BIDS derivative dataset.

    Parameters
    ----------
    run : str or Path
        Run folder.
    out : str or Path
        Folder to make.
    space : str or None, default=None
        Entity `space` of the maps, such as MNI152NLin2009cAsym; None takes it from the ids of samples that
        are named as BIDS does, else the maps have none.

    Returns
    -------
    Path
        The folder, with `participants.tsv` (of several scans a person, `sub-*_sessions.tsv`), their data
        dictionaries, `dataset_description.json`, and maps of volumes as `desc-salient_statmap.nii.gz`.

    Raises
    ------
    DataError
        If two scans of one person have the same session in their ids.
    RunFolderError
        If the run has no codes, or the folder exists.

    Examples
    --------
    >>> export_bids("run", "derivatives/sepvae", space="MNI152NLin2009cAsym")  # doctest: +SKIP
    """
    folder, out = RunFolder(run), Path(out)
    check_new(out, "folder")
    codes = folder.codes.required()
    scans = _scans(codes, space)
    title, method = f"Common and salient codes: {folder.path.name}", folder.recipe.required()["method"]
    with whole_folder(out) as whole:
        MapFolder(whole).description.write(bids_derivative(title, Description=method))
        _write_tables(whole, codes, scans, folder.recipe.required())
        n_maps = _write_maps(whole, folder.maps, scans)
        about = {"title": title, "method": method, "version": version("sepvae"), "run": folder.path.name}
        write_whole(whole / ".bidsignore", IGNORED)
        write_whole(whole / "README", README.format(**about, maps=OF_MAPS.format(group=GROUP) * bool(n_maps)))
    return out


def _scans(codes: pd.DataFrame, space: str | None) -> pd.DataFrame:
    """Return subject and entities of each sample, by id; raise if two samples have the same ones."""
    found = [dict(ENTITY.findall(id_)) for id_ in codes["id"].astype(str)]
    scans = pd.DataFrame({"sub": _labels(codes["group"])})
    for name in ENTITIES:
        scans[name] = [entities.get(name, "") for entities in found]
    scans["space"] = scans["space"] if space is None else _label(space)
    scans.index = pd.Index(codes["id"].astype(str))
    if twice := np.flatnonzero(scans.duplicated(["sub", "ses"])).tolist():
        first, subject = scans.index[twice[0]], scans["sub"].iloc[twice[0]]
        raise DataError(
            f"{first}: another scan of sub-{subject} has the same session; wanted one scan a session, and "
            "ids such as sub-01_ses-02 (--id)"
        )
    return scans


def _labels(persons: "pd.Series[str]") -> list[str]:
    """Return a label of letters and digits for each person, numbered where two would share one."""
    of_person = {person: _label(person.removeprefix("sub-")) for person in dict.fromkeys(persons.astype(str))}
    if len(set(of_person.values())) < len(of_person):
        of_person = {person: f"{i:0{len(str(len(of_person)))}d}" for i, person in enumerate(of_person, 1)}
    return [of_person[person] for person in persons.astype(str)]


def _label(word: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", word) or "unnamed"


def _write_tables(out: Path, codes: pd.DataFrame, scans: pd.DataFrame, recipe: dict[str, Any]) -> None:
    """Write participants.tsv, and sessions.tsv of each person if one of them has several scans."""
    attributes = [name for name in attribute_columns(codes) if name not in OWN_COLUMNS]
    columns = ["label", "split", *attributes, *code_columns(codes, "both")]
    table = codes[columns].set_axis(scans.index).assign(id=codes["id"].to_numpy())
    table.insert(0, "participant_id", "sub-" + scans["sub"])
    words = _dictionary(columns, recipe)
    if not table["participant_id"].duplicated().any():
        _write_table(out / "participants", table, words)
        return
    n_values = table.groupby("participant_id")[columns].nunique(dropna=False)
    fixed = n_values.columns[(n_values == 1).all()].tolist()
    people = table.drop_duplicates("participant_id")[["participant_id", *fixed]]
    _write_table(out / "participants", people, words)
    table.insert(1, "session_id", "ses-" + scans["ses"].where(scans["ses"] != "", "1"))
    for subject, rows in table.groupby("participant_id"):
        (out / str(subject)).mkdir()
        rows = rows.drop(columns=["participant_id", *fixed])
        _write_table(out / str(subject) / f"{subject}_sessions", rows, words)


def _write_table(path: Path, table: pd.DataFrame, words: dict[str, Any]) -> None:
    """Write a table as .tsv with its data dictionary as .json."""
    text = table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    write_whole(path.with_suffix(".tsv"), text)
    JsonFile(path.with_suffix(".json")).write({name: words[name] for name in table if name in words})


def _dictionary(columns: Sequence[str], recipe: dict[str, Any]) -> dict[str, Any]:
    """Return what each column is, for a data dictionary."""
    background, data = recipe["keywords"].get("background"), recipe.get("data", {})
    words: dict[str, Any] = {
        "participant_id": {"Description": "Person"},
        "session_id": {"Description": "Visit"},
        "id": {"Description": "Name of the sample in the run folder"},
        "label": {"Description": f"Group; {background} is the background, all others are targets"},
        "split": {
            "Description": "Part of the data",
            "Levels": {"train": "fitted on", "test": "held out", "validation": "used to stop the fit"},
        },
    }
    kinds = recipe.get("attributes", {})
    for name in columns:
        space = next((space for space in ("common", "salient") if re.fullmatch(rf"{space}\d+", name)), None)
        if space is not None:
            text = f"Posterior mean of dimension {name.removeprefix(space)} of the {space} code"
            words[name] = {"Description": f"{text}, {recipe['method']}", "Units": "arbitrary"}
        elif name not in words:
            words[name] = {
                "Description": f"Attribute of {data.get('name', 'the data')}, {kinds.get(name, 'as given')}"
            }
    return words


def _write_maps(out: Path, maps: MapFolder, scans: pd.DataFrame) -> int:
    """Copy maps of volumes or surfaces to BIDS names, those of groups beside them; return their number."""
    samples, copied = maps.samples.read(), set()
    if samples is None or not (mapped := samples[samples["file"].astype(str).str.endswith(MAPS)]).size:
        return 0
    about = {"Description": "Decoded with the salient code minus decoded without it", "Units": "as the image"}
    for id_, file in zip(mapped["id"].astype(str), mapped["file"].astype(str), strict=True):
        before, left, after = file.rpartition("hemi-L_")
        for side in SIDES if file.endswith(SURFACE) else ("",):
            source, scan = maps.path / file, scans.loc[id_].to_dict()
            if side:
                source = maps.path / f"{before}{left.replace('L', side)}{after}"
                mesh = mesh_name(len(read_hemisphere(source)))
                scan |= {"hemi": side, "space": scan["space"] or mesh}
            names = [f"sub-{scan['sub']}", *(f"{name}-{scan[name]}" for name in ENTITIES if scan[name])]
            anat = out / names[0] / (f"ses-{scan['ses']}" if scan["ses"] else "") / "anat"
            anat.mkdir(parents=True, exist_ok=True)
            named = f"{'_'.join(names)}_desc-salient_statmap"
            shutil.copyfile(source, anat / f"{named}{SURFACE if side else VOLUME}")
            where = {"SpatialReference": scan["space"]} if scan["space"] else {}
            JsonFile(anat / f"{named}.json").write(about | where)
            copied.add(source)
    for other in sorted({path for suffix in MAPS for path in maps.path.glob(f"*{suffix}")} - copied):
        (out / GROUP).mkdir(exist_ok=True)
        shutil.copyfile(other, out / GROUP / other.name)
    return len(mapped)
