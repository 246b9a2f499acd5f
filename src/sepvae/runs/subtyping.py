"""`find_run_subtypes`: subtypes among the patients of a run, beside their null, into its folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from sepvae.batch import AnyArray, FloatArray, IntArray, Source, chunk_rows, chunks
from sepvae.codes import code_columns
from sepvae.data.nifti import write_volume
from sepvae.data.surfaces import write_surface
from sepvae.errors import DataError
from sepvae.evaluation.clusters import MAX_COMPONENTS, Clusters
from sepvae.evaluation.metrics import MAX_P
from sepvae.evaluation.subtype_profiles import null_strengths, prediction_strength, profile
from sepvae.evaluation.subtypes import SubtypeTest, find_subtypes
from sepvae.interpretation.maps import Moments
from sepvae.mesh import Mesh
from sepvae.methods import load
from sepvae.plotting.maps import map_picture
from sepvae.plotting.subtypes import subtype_scatter
from sepvae.progress import Say, stage
from sepvae.run_folder import RunFolder, SubtypeFiles
from sepvae.runs.figures import save_figure
from sepvae.runs.new_data import Samples

N_NULL = 199
N_STRENGTHS = 99  # single Gaussians behind the p-value of the prediction strength
MAX_RAW = 2000  # patients whose raw measures are clustered, training patients first
MAX_VALUES = 10**8  # of their raw measures in memory; of larger images so many pixels, drawn at random


@dataclass(frozen=True)
class Patients:
    """Features of patients, and their samples in `codes.csv`."""

    features: FloatArray  # (n_people, dimensions), the mean over the samples of a patient
    held_out: AnyArray  # (n_people,), whether a patient is in the test part
    samples: pd.DataFrame
    person: IntArray  # row of each sample in `features`

    @classmethod
    def of(cls, samples: pd.DataFrame, features: AnyArray) -> "Patients":
        """Average the features (n_samples, dimensions) over the samples of a person."""
        _, first, person = np.unique(
            samples["group"].astype(str).to_numpy(str), return_index=True, return_inverse=True
        )
        means = pd.DataFrame(features).groupby(person).mean().to_numpy(float)
        return cls(means, (samples["split"] == "test").to_numpy()[first], samples, person)

    def parts(self) -> tuple[FloatArray, FloatArray]:
        """Return the features of training and of held-out patients."""
        return self.features[~self.held_out], self.features[self.held_out]


def find_run_subtypes(
    run: str | Path,
    raw: Samples | None = None,
    out: str | Path | None = None,
    *,
    n_null: int = N_NULL,
    say: Say | None = None,
    show: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """
    Cluster the salient codes of the training patients of a run, and apply the clusters to held-out ones.

    Parameters
    ----------
    run : str or Path
        The run folder.
    raw : Samples or None, default=None
        Samples of the run, read again: their raw measures are clustered beside the codes.
    out : str or Path or None, default=None
        Folder for the files; None takes the run folder. Older files of subtypes are replaced.
    n_null : int, default=199
        Samples of the single Gaussian, 19 or more.
    say : callable, default=None
        Called with each progress message.
    show : callable, default=None
        Called with what is returned, before figures are drawn.

    Returns
    -------
    dict
        As in `subtypes.json`. Beside it are `subtypes.csv`, `subtypes-profile.csv`, `figures/subtypes.png`
        and, if subtypes were found by a model with a decoder, the mean map of each.

    Raises
    ------
    RunFolderError
        If the folder holds no codes.
    DataError
        If it has fewer than 30 training patients, their salient codes do not vary, or `raw` lacks patients.
    """
    folder, how = RunFolder(run), {"n_null": n_null}
    codes = folder.codes.required()
    samples = codes[codes["y"] == 1].reset_index(drop=True)
    patients = Patients.of(samples, samples[code_columns(samples, "salient")].to_numpy(float))
    with stage("salient codes against a single Gaussian", say) as progress:
        found = find_subtypes(patients.parts()[0], progress=progress, **how)
    table = assign(found, patients)
    described = profile(samples, table["subtype"], kinds=folder.kinds())
    record = _summary(found, described)
    with stage("held-out patients", say):
        record |= _on_held_out(found, patients)
    if raw is not None:
        measures = raw_measures(samples, raw)
        with stage("raw measures against a single Gaussian", say) as progress:
            of_raw = find_subtypes(measures.parts()[0], progress=progress, **how)
        n = (found if found.found else of_raw).clusters.n_clusters
        means = Clusters(measures.parts()[0], n, algorithm="kmeans").assign(measures.features)
        of_means = pd.Series(means[measures.person] + 1, index=measures.samples.index)
        rows = profile(measures.samples, of_means, kinds=folder.kinds())
        described = pd.concat([described.assign(clusters="salient"), rows.assign(clusters="raw")])
        agreement = adjusted_rand_score(table["subtype"][of_means.index], of_means)
        record["raw"] = _summary(of_raw, rows) | {"n_kmeans": n, "agreement": float(agreement)}
    files = folder.subtypes if out is None else SubtypeFiles(Path(out))
    files.write(table, described, record)
    if show is not None:
        show(record)
    with stage("drawing", say):
        points = found.clusters.discriminants(patients.features)
        subtype = table["subtype"].groupby(patients.person).first().to_numpy()
        drawn = subtype_scatter(points, subtype, patients.held_out, found.observed, found.null)
        save_figure(files.figures, "subtypes", drawn)
        if found.found:
            _write_maps(run, files, samples, table["subtype"])
    return record


def assign(found: SubtypeTest, patients: Patients) -> pd.DataFrame:
    """Return `subtypes.csv`: all patients are of subtype 1 where there are no subtypes."""
    clusters, table = found.clusters, patients.samples[["id", "split"]].copy()
    if not found.found:
        return table.assign(subtype=1, probability=1.0, prototype=False)
    probability = clusters.probabilities(patients.features)
    subtype = probability.argmax(axis=1)
    points, centres = clusters.whitened(patients.features), clusters.whitened(clusters.centres_)
    far = np.linalg.norm(points - centres[subtype], axis=1)
    nearest = pd.Series(far).groupby(subtype).idxmin()
    person = patients.person
    return table.assign(
        subtype=subtype[person] + 1,
        probability=probability.max(axis=1)[person].round(4),
        prototype=np.isin(person, nearest),
    )


def raw_measures(samples: pd.DataFrame, raw: Samples) -> Patients:
    """Return principal components of the raw measures of patients, of tables in standard deviations."""
    kept = samples.iloc[np.argsort(samples["split"] == "test", kind="stable")[:MAX_RAW]]
    n_features = int(np.prod(raw.train.sample_shape))
    used = np.sort(np.random.default_rng(0).permutation(n_features)[: max(1, MAX_VALUES // len(kept))])
    parts = [_rows(kept, source, used) for source in (raw.train, raw.test)]
    values, ids = np.concatenate([x for x, _ in parts]), np.concatenate([names for _, names in parts])
    positions = pd.Index(ids).get_indexer(pd.Index(kept["id"]))
    if len(gone := kept["id"][positions < 0]):
        raise DataError(
            f"raw measures: {len(gone)} patients of the run are not in the data, such as {gone.iloc[0]!r}; "
            "give what it was fitted on"
        )
    values = values[positions]
    learnt = values[(kept["split"] != "test").to_numpy()]
    mean = np.nan_to_num(np.nanmean(learnt, axis=0)) if np.isnan(learnt).any() else learnt.mean(axis=0)
    values = np.where(np.isnan(values), mean, values) - mean
    if len(raw.train.sample_shape) == 1:
        deviation = np.nanstd(learnt, axis=0)
        values /= np.where(deviation > 0, deviation, 1)
    axes = PCA(min(MAX_COMPONENTS, *learnt.shape), svd_solver="full").fit(values[kept["split"] != "test"])
    return Patients.of(kept, axes.transform(values))


def _rows(samples: pd.DataFrame, source: Source, used: IntArray) -> tuple[AnyArray, AnyArray]:
    """Return the features in use (n, features) and the ids of those samples that a source has."""
    ids = np.asarray(source.ids).astype(str)
    rows = np.flatnonzero(np.isin(ids, samples["id"].to_numpy(str)))
    size = chunk_rows(source.sample_shape)
    read = [source.take(rows[part]).x.reshape(len(part), -1)[:, used] for part in chunks(len(rows), size)]
    return np.concatenate([np.zeros((0, len(used)), np.float32), *read]), ids[rows]


def _summary(found: SubtypeTest, described: pd.DataFrame) -> dict[str, Any]:
    """Return verdict, evidence, and attributes that differ between clusters of held-out people."""
    held_out = described[described["part"] == "test"]
    asked = held_out.dropna(subset="p_value").drop_duplicates("attribute").set_index("attribute")
    return {
        "verdict": found.verdict,
        "subtypes": found.clusters.n_clusters if found.found else 1,
        "p_values": {str(name): float(p) for name, p in found.p_values.items()},
        "stability": found.stability,
        "candidates": found.candidates.astype(object)
        .where(found.candidates.notna(), None)
        .to_dict("records"),
        "asked": asked.index.tolist(),
        "confirmed": asked.index[asked["p_adjusted"] <= MAX_P].tolist(),
    }


def _on_held_out(found: SubtypeTest, patients: Patients) -> dict[str, Any]:
    """Return how well held-out patients confirm the clusters, with the null, and whether k-means agrees."""
    train, held_out = patients.parts()
    n = found.clusters.n_clusters
    known: dict[str, Any] = {"people": len(train), "held_out": len(held_out)}
    if not found.found:
        return known
    means = Clusters(train, n, algorithm="kmeans").assign(train)
    known["kmeans"] = float(adjusted_rand_score(found.clusters.assign(train), means))
    if np.isnan(strength := prediction_strength(found.clusters, held_out)):
        return known
    null = null_strengths(train, held_out, n, n_null=N_STRENGTHS)
    p = (int((null >= strength).sum()) + 1) / (len(null) + 1)
    return known | {"strength": strength, "strength_null": float(null.mean()), "strength_p": p}


def _write_maps(
    run: str | Path, files: SubtypeFiles, samples: pd.DataFrame, subtype: "pd.Series[int]"
) -> None:
    """Write the mean, over patients of each subtype, of what the salient part adds, as networks see it."""
    model = load(run)
    if not model.capabilities.decoder:
        return
    of_subtypes = {}
    for one, rows in samples.groupby(subtype.to_numpy()):
        common, salient = (rows[code_columns(rows, space)].to_numpy() for space in ("common", "salient"))
        moments = Moments()
        for part in chunks(len(rows), chunk_rows(model.sample_shape_)):
            with_it, without = (
                model.decode(common[part], s, standardised=True) for s in (salient[part], 0 * salient[part])
            )
            moments.add(with_it - without)
        of_subtypes[int(str(one))] = moments.mean
    names = np.asarray(getattr(model, "feature_names_in_", np.arange(model.sample_shape_[0])))
    if (mesh := Mesh.of_features(names)) is not None:
        for number, values in of_subtypes.items():
            whole = np.zeros(len(names))
            whole[model.scaler_.kept_] = values
            write_surface(files.surface(number), mesh.back(whole))
    elif len(model.sample_shape_) == 1:
        columns = {f"subtype{n}": values for n, values in of_subtypes.items()}
        files.features.write(pd.DataFrame({"feature": names[model.scaler_.kept_], **columns}))
    for number, values in of_subtypes.items():
        if model.grid_ is not None:
            write_volume(files.volume(number), model.grid_.back(values[0]), model.grid_)
        elif values.ndim == 3:
            limit = max(float(np.abs(m).max()) for m in of_subtypes.values())
            save_figure(files.figures, f"subtype-{number}", map_picture(values, limit))
