"""`RunFolder`: every file of a run by its name, with how it is read and written."""

from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sepvae.errors import RunFolderError
from sepvae.run_files import ArraysFile, JsonFile, TableFile, YamlFile

if TYPE_CHECKING:
    import pandas as pd

    from sepvae.batch import AnyArray
    from sepvae.codes import Blocks

FORMAT = 1  # version of run folders; those that record none have this one, too
PACKAGES = (
    *("sepvae", "torch", "lightning", "numpy", "scipy", "scikit-learn", "pandas", "pillow", "matplotlib"),
    *("plotly", "safetensors", "nibabel", "nilearn", "zarr"),
)
N_PERMUTATIONS = 100  # behind each p-value, unless a recipe or a caller names another number
SAMPLE = ("id", "group", "label", "split")  # columns of each table of samples
LEVELS = ("error", "warning", "note")
EFFECT, IMAGE = "desc-salient_stat-d_map", "desc-input_stat-mean_map"  # maps of volumes, without suffix
AXIS = "desc-salient{}_map"  # of what a salient axis adds, by its number
THIRDS = ("low", "middle", "high")  # of targets by severity
REPRODUCED = 0.5  # axes, pixels, voxels and features of which several fits agree less do not reproduce
N_OWN = 10  # features of each person, those that the salient part changes most
FEW_VOXELS = 10  # the mean of a smaller region says little
OF_SLOPE = "severity_slope_sd"  # column of regions.csv: the slope in standard deviations of the feature


class RecipeFile(YamlFile):
    """Data, method, keywords and protocol of a run, with the format of the folder."""

    def write(self, content: dict[str, Any]) -> None:
        """Write the recipe with its format."""
        super().write({"format": FORMAT, **content})

    def missing(self) -> RunFolderError:
        """Return the error for a folder without a recipe."""
        lacks = f"it has no {self.path.name}; give the folder that a fit wrote"
        return RunFolderError(f"{self.path.parent} is not a run folder: {lacks}")

    def _parse(self, path: Path) -> dict[str, Any]:
        recipe = super()._parse(path)
        if (found := recipe.get("format", FORMAT)) != FORMAT:
            raise RunFolderError(
                f"{path.parent}: its {path.name} is of format {found}, this sepvae reads format {FORMAT}; "
                "update sepvae"
            )
        if not all(isinstance(n, int) for n in dict(recipe.get("salient_blocks") or {}).values()):
            raise TypeError("salient_blocks has no numbers")
        if isinstance(data := recipe.get("data"), dict) and "group" in data:  # former name of "subject"
            recipe["data"] = {"subject" if key == "group" else key: value for key, value in data.items()}
        return recipe


class InspectionFile(JsonFile):
    """An inspection of the data; its findings are read with errors first."""

    def _parse(self, path: Path) -> dict[str, Any]:
        findings = (content := super()._parse(path))["findings"]
        if not isinstance(findings, list):
            raise TypeError("findings is no list")
        for finding in findings:
            if not isinstance(finding, dict) or not isinstance(finding.get("message"), str):
                raise TypeError("a finding has no message")
            if finding.get("level") not in LEVELS or not isinstance(finding.get("examples", []), list):
                raise TypeError("a finding has no level error, warning or note, or its examples are no list")
        return content | {"findings": sorted(findings, key=lambda finding: LEVELS.index(finding["level"]))}


class CodesFile(TableFile):
    """Samples, attributes and posterior means; categorical attributes are read as text."""

    def __init__(self, run: "RunFolder", name: str) -> None:
        numbers = ("y", "common0", "salient0")
        super().__init__(run.path / name, SAMPLE, numbers, r"(common|salient)\d+")
        self.run = run

    def _text_columns(self) -> tuple[str, ...]:
        return *self.text, *(name for name, kind in self.run.kinds().items() if kind == "categorical")


class ThumbnailsFile(ArraysFile):
    """Small images with the ids of their samples."""

    def _parse(self, path: Path, names: tuple[str, ...] = ("ids", "images")) -> "dict[str, AnyArray]":
        found = super()._parse(path, names or ("ids", "images"))
        ids, images = found["ids"], found["images"]
        fits = images.ndim == 4 and images.shape[1] in (1, 3) and len(ids) == len(images)
        if not fits or images.dtype != "uint8":
            raise ValueError(f"images: wanted uint8 (n, 1 or 3, h, w), one for each id, got {images.shape}")
        return found


class PeopleFile(ArraysFile):
    """Images and maps (n, channels, h, w) of a few samples with their ids; of surfaces nobody, and labels."""

    def _parse(self, path: Path, names: tuple[str, ...] = ()) -> "dict[str, AnyArray]":
        found = super()._parse(path, names)
        if "images" in found:
            drawn = [found[name] for name in ("images", "without", "added")]
            shape, ids, y = drawn[0].shape, found["ids"], found["y"]
            each = ids, y, found.get("quantiles", y)  # earlier versions wrote no quantiles
            fits = len(shape) == 4 and {one.shape for one in drawn} == {shape}
            fits &= all(one.dtype.kind == "f" for one in drawn) and {len(one) for one in each} == {shape[0]}
            if not fits or not set(y.tolist()) <= {0, 1} or len(found["labels"]) != 2:
                raise ValueError(f"wanted floats (n, channels, h, w), one for each id, got {shape}")
        return found


class MapFolder:
    """Maps of what the salient part adds, in `maps/` of a run or in a folder of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples = TableFile(path / "maps.csv", ("id", "label", "file"))
        self.regions = TableFile(path / "regions.csv", text=("feature",))
        self.own = TableFile(path / "people-regions.csv", ("id", "feature"), ("added_sd", "z"))  # of tables
        self.severity = TableFile(path / "severity.csv", ("third",), ("n", "least", "most"))
        self.people = PeopleFile(path / "people.npz")  # samples in the figure
        # Of volumes, by the regions of an atlas; the record is written last.
        self.region_people = TableFile(path / "regions-people.csv", ("id", "label", "region"), ("mean",))
        self.region_groups = TableFile(
            path / "regions-groups.csv",
            ("region", "label"),
            ("difference", "p_difference", "d", "p_adjusted"),
        )
        self.atlas = JsonFile(path / "regions.json")
        self.groups = ArraysFile(path / "maps.npz")  # of images; those of volumes are NIfTI files
        self.description = JsonFile(path / "dataset_description.json")
        self.figures = path / "figures"  # those of a run are with its other figures

    def volume(self, name: str) -> Path:
        """Return the path of a map of volumes, such as EFFECT."""
        return self.path / f"{name}.nii.gz"

    def surface(self, name: str) -> tuple[Path, Path]:
        """Return the paths of a map of surfaces, of the left and the right hemisphere."""
        return surface_files(self.path, name)

    def picture(self, name: str) -> Path:
        """Return the path of a map of images."""
        return self.path / f"{name}.png"


def surface_files(folder: Path, name: str) -> tuple[Path, Path]:
    """Return the paths of a map of both hemispheres, whose entity comes before the last one, as in BIDS."""
    before, desc, after = name.rpartition("desc-")
    return (
        folder / f"{before}hemi-L_{desc}{after}.shape.gii",
        folder / f"{before}hemi-R_{desc}{after}.shape.gii",
    )


def bids_derivative(name: str, **made_by: str) -> dict[str, Any]:
    """Return the content of dataset_description.json, with what BIDS wants to know of the program."""
    from importlib.metadata import version  # here, for it takes time

    program = {"Name": "sepvae", "Version": version("sepvae"), **made_by}
    about = {"Name": name, "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    return about | {"GeneratedBy": [program]}


class SubtypeFiles:
    """Files of subtypes, in a run or in a folder of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.people = TableFile(path / "subtypes.csv", ("id", "split"), ("subtype", "probability"))
        text = ("part", "attribute", "kind", "value")
        self.profile = TableFile(
            path / "subtypes-profile.csv", text, ("subtype", "share_or_mean", "p_adjusted")
        )
        self.record = JsonFile(path / "subtypes.json")
        self.features = TableFile(path / "subtypes-features.csv")  # mean map of each, of tables
        self.figures = path / "figures"

    def volume(self, subtype: int) -> Path:
        """Return the path of the mean map of a subtype, of volumes."""
        return self.path / f"subtype-{subtype}_desc-salient_stat-mean_map.nii.gz"

    def surface(self, subtype: int) -> tuple[Path, Path]:
        """Return the paths of the mean map of a subtype, of surfaces."""
        return surface_files(self.path, f"subtype-{subtype}_desc-salient_stat-mean_map")

    def remove(self) -> None:
        """Remove all files of earlier subtypes."""
        files = (self.record, self.people, self.profile, self.features)
        maps = self.path.glob("subtype-*_map.*")
        pictures = self.path.glob("figures/subtype-*.png")
        for old in (*(file.path for file in files), *maps, *pictures, self.figures / "subtypes.png"):
            old.unlink(missing_ok=True)

    def write(self, people: "pd.DataFrame", profile: "pd.DataFrame", record: dict[str, Any]) -> None:
        """Write the tables and the record in place of those of earlier subtypes."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.remove()
        self.people.write(people)
        self.profile.write(profile)
        self.record.write(record)


class InferenceFolder:
    """Tests of the group map of a run, beside those of the input; the summary is written last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.summary = JsonFile(path / "inference.json")
        self.clusters = TableFile(path / "clusters.csv", ("map",), ("x_mm", "y_mm", "z_mm", "p_cluster"))
        self.regions = TableFile(path / "regions.csv", ("feature",), ("salient_difference", "salient_p"))
        self.maps = ArraysFile(path / "maps.npz")  # of images

    def volume(self, part: str, statistic: str) -> Path:
        """Return the path of a map of volumes, such as "salient" and "t"."""
        return self.path / f"desc-{part}_stat-{statistic}_map.nii.gz"

    def surface(self, part: str, statistic: str) -> tuple[Path, Path]:
        """Return the paths of a map of surfaces, of the left and the right hemisphere."""
        return surface_files(self.path, f"desc-{part}_stat-{statistic}_map")

    def refit(self, number: int) -> ArraysFile:
        """Return the group map of a refit on permuted labels."""
        return ArraysFile(self.path / "null" / f"refit-{number:03d}.npz")


class RunFolder:
    """Folder that a fit leaves behind. It is a run if it has a recipe; all other files may be missing."""

    def __init__(self, path: str | Path, kinds: Mapping[str, Any] | None = None) -> None:
        self.path = path = Path(path)
        self._kinds = kinds  # of attributes; those of the recipe by default
        # What was fitted, on what, and with what.
        self.recipe = RecipeFile(path / "recipe.yaml")
        self.versions = JsonFile(path / "versions.json")
        self.inspection = InspectionFile(path / "check.json")
        self.quality = TableFile(path / "quality.csv", text=("id",))  # metrics of images and volumes
        self.split = TableFile(path / "split.csv", SAMPLE)
        # The fit.
        self.model = path / "model"
        self.checkpoint = path / "checkpoints" / "last.ckpt"  # complete state to resume a fit from
        self.lock = path / ".lock"
        self.logs = path / "logs"  # of CSV and TensorBoard
        self.logger_ids = JsonFile(path / "logs" / "ids.json")  # of MLflow and Weights & Biases
        self.metrics = TableFile(path / "metrics.csv", numbers=("epoch",), numeric=".*")
        self.diverged = TableFile(path / "diverged.csv")
        # What the codes tell.
        self.codes = CodesFile(self, "codes.csv")
        asked, score = ("space", "attribute", "population", "metric"), ("score", "low", "high", "chance")
        self.scores = TableFile(path / "scores.csv", asked, (*score, "p_value"))
        self.verdict = JsonFile(path / "verdict.json")
        fits = ("contender", "of", "space", "measure", "first", "second", "axis")
        self.stability = TableFile(path / "stability.csv", fits, ("score", "chance", "p_value"))
        self.removal = TableFile(path / "removal.csv", ("attribute", "images", "wanted"), score)
        moved = ("measure", "part", "population")
        self.counterfactuals = TableFile(path / "counterfactuals.csv", moved, (*score[:3], "reference"))
        self.correlations = TableFile(
            path / "correlations.csv",
            text=("attribute", "kind", "population", "axis", "measure"),
            numbers=("value", "p_value", "p_adjusted", "n"),
        )
        self.subtypes = SubtypeFiles(path)
        self.people = TableFile(path / "people.csv", (*SAMPLE[:3], "nearest_patients"), numeric="salient_.*")
        of_visits = ("measure", "quantity", "group", "time")
        self.visits = TableFile(path / "visits.csv", of_visits, (*score, "n_people"))
        # What the page shows.
        self.examples = ArraysFile(path / "examples.npz")
        self.thumbnails = ThumbnailsFile(path / "thumbnails.npz")
        self.maps = MapFolder(path / "maps")
        self.inference = InferenceFolder(path / "inference")
        self.figures = path / "figures"
        self.report = path / "report.html"

    def __str__(self) -> str:
        return str(self.path)

    def kinds(self) -> Mapping[str, Any]:
        """Return "categorical" or "continuous" for each attribute."""
        kinds = self.recipe.required().get("attributes") if self._kinds is None else self._kinds
        return kinds if isinstance(kinds, Mapping) else {}

    def blocks(self) -> "Blocks":
        """Return the blocks of the salient space, whose sizes are in the recipe; empty for one space."""
        sizes = (self.recipe.read() or {}).get("salient_blocks") or {}
        ends = accumulate(sizes.values())
        return {str(name): slice(end - sizes[name], end) for name, end in zip(sizes, ends, strict=True)}

    @property
    def seeds(self) -> Path:
        """Folder of the fits that `fit --seeds` chose this one among, beside it."""
        named = self.path if self.path.name not in ("", "..") else self.path.resolve()
        return named.with_name(f"{named.name}-seeds")

    def is_finished(self, recipe: Mapping[str, Any]) -> bool:
        """Return whether the fit of its recipe is finished; the page is the last file written."""
        return "seconds" in recipe and self.report.is_file()


def current_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the numbers depend on."""
    from importlib.metadata import version
    from platform import python_version

    return {"python": python_version(), **{name: version(name) for name in PACKAGES}}
