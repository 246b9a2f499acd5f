import io
import json

import pandas as pd
import pytest
from PIL import Image

SCORES = """\
space,attribute,population,metric,score,low,high,chance,p_value,n_train,n_test,n_test_groups
salient,label,all,auc,0.914,0.881,0.942,0.5,0.0099,300,100,40
common,label,all,auc,0.637,0.561,0.702,0.5,0.0198,300,100,40
both,label,all,auc,0.921,0.893,0.951,0.5,0.0099,300,100,40
salient,age,all,mae,8.41,7.5,9.1,8.3,0.61,300,100,40
common,age,all,mae,4.26,3.9,4.7,8.3,0.0099,300,100,40
salient,age,all,r2,0.012,-0.08,0.09,-0.001,0.41,300,100,40
salient,subtype,target,balanced_accuracy,0.834,0.761,0.893,0.5,0.0099,150,50,20
common,subtype,target,balanced_accuracy,0.527,0.446,0.613,0.5,0.27,150,50,20
salient,,all,variance_ratio,20.31,,,,,,100,40
common,,all,variance_ratio,1.07,,,,,,100,40
common,,target,active_units,12.0,,,,,,50,20
both,,target,reconstruction_error,0.00312,,,,,,50,20
"""
RECIPE = """\
data: {reader: image_folder, name: chest_xray, image_size: [64, 64]}
method: SepVAE
keywords: {common_dim: 16, kappa: 2.0, random_state: 7}
protocol: {n_permutations: 100, scored_on: {part: test}}
seconds: {fit: 611.0, all: 754.2}
"""


def png(color):
    file = io.BytesIO()
    Image.new("RGB", (2, 2), color).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def run(tmp_path):
    """A run folder with everything that the report reads."""
    (tmp_path / "figures").mkdir()
    names = ("reconstructions", "codes_age", "codes_label", "learning_curves")
    for color, name in zip(("red", "green", "blue", "white"), names, strict=True):
        (tmp_path / "figures" / f"{name}.png").write_bytes(png(color))
    split = pd.DataFrame(
        {
            "id": [f"s{i}" for i in range(12)],
            "group": [f"p{i // 2}" for i in range(12)],
            "label": ["ill", "ill", "well", "well"] * 3,
            "split": ["train"] * 6 + ["validation"] * 2 + ["test"] * 4,
        }
    )
    split.to_csv(tmp_path / "split.csv", index=False)
    codes = split.assign(y=(split["label"] == "ill").astype(int), common0=0.0, salient0=0.0)
    codes.to_csv(tmp_path / "codes.csv", index=False)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "versions.json").write_text(json.dumps({"python": "3.11.7", "sepvae": "0.1.0"}))
    (tmp_path / "metrics.csv").write_text("epoch,train_loss\n0,2.0\n1,1.0\n")
    (tmp_path / "scores.csv").write_text(SCORES)
    return tmp_path
