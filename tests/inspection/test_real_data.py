"""Chest X-rays and faces: the copies and the squashing that are known to be there."""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sepvae.data.formats.published import CelebA, Kermany
from sepvae.data.quality_metrics import measure
from sepvae.data.spec import DataSpec
from sepvae.inspection import inspect


def decoded(content):
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image, dtype=np.float32)
        return measure(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1), image.mode, content)


def measured(files):
    with ThreadPoolExecutor() as pool:
        return pd.DataFrame(list(pool.map(lambda file: decoded(file.read_bytes()), files)))


def saved_again(content):
    """The same image a fifth smaller, as a JPEG of low quality."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        smaller = image.resize((image.width * 4 // 5, image.height * 4 // 5), Image.Resampling.BICUBIC)
        smaller.save(out, "JPEG", quality=70)
    return decoded(out.getvalue())


@pytest.mark.real_data
def test_chest_x_rays_were_squashed_and_26_are_copies(real_data):
    manifest = Kermany().list(real_data / "kermany96" / "chest_xray", DataSpec())
    some = measured(manifest.files[::4]).set_index(np.arange(0, len(manifest), 4))
    quality_metrics = some.reindex(range(len(manifest)))  # copies need all files, but not their pixels
    quality_metrics["digest"] = [hashlib.sha256(file.read_bytes()).hexdigest() for file in manifest.files]
    inspection = inspect(manifest.about, quality_metrics, background="NORMAL")
    found = {finding.code: finding for finding in reversed(inspection.findings)}
    assert found["duplicates-within-groups"].numbers == {"sets": 24, "extra": 26}
    assert found["image-confound"].message.startswith("image anisotropy differs strongly")
    assert found["image-confound"].numbers["auc"] > 0.9
    assert not [code for code in found if code.startswith("near")]


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["kermany96/chest_xray/train/NORMAL", "celeba8k/img_align_celeba"])
def test_images_saved_again_are_found_and_mirrored_ones_are_not(real_data, name):
    files = sorted((real_data / name).iterdir())[:600]
    quality_metrics = measured(files)
    again = pd.DataFrame([saved_again(file.read_bytes()) for file in files[::30]])
    looks = [np.frombuffer(look, dtype=np.uint8).reshape(16, 16) for look in quality_metrics["look"][1::30]]
    mirrored = quality_metrics[1::30].assign(digest="", look=[look[:, ::-1].tobytes() for look in looks])
    mirrored["digest"] = [f"{i}" for i in range(len(mirrored))]
    everything = pd.concat([quality_metrics, again, mirrored], ignore_index=True)
    about = pd.DataFrame({"id": everything.index.astype(str), "label": ["a", "b"] * (len(everything) // 2)})
    table = inspect(about.assign(group=about["id"], split=None), everything).tables["duplicates"]
    pairs = table[table["kind"] == "near"].groupby("set")["id"].agg(list).tolist()
    assert pairs == [[str(30 * i), str(600 + i)] for i in range(20)]


@pytest.mark.real_data
def test_faces_with_glasses_or_hats_are_few(real_data):
    manifest = CelebA().list(real_data / "celeba8k", DataSpec(attributes=["Male"]))
    inspection = inspect(manifest.about, background="neither")
    found = {finding.code: finding for finding in inspection.findings}
    assert found["imbalance"].numbers == {"ratio": pytest.approx(7121 / 823)}
    accessories = inspection.tables["attributes"].query("attribute == 'accessory'")
    assert accessories.set_index("value")["n"].to_dict() == {"glasses": 490, "hat": 333}
    assert found["confound"].message.startswith("Male goes with the label")
