"""
What the same probes read from the pixels: principal components, fitted on a run's training part.

    python benchmarks/pixel_baseline.py RUN DATA OUT.csv [--components 128]

Reads DATA as the recipe of RUN says, takes its split, scores the components as if they were salient codes.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from sepvae.codes import attribute_columns
from sepvae.data.opening import list_data
from sepvae.data.reading import read_listing
from sepvae.evaluation import score_codes
from sepvae.runs import read_codes, read_recipe


def main() -> None:
    """Score the components and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--components", type=int, default=128)
    options = parser.parse_args()

    recipe = read_recipe(options.run)["data"]
    names = ("images", "label", "subject", "id", "attributes", "pattern", "targets", "limit", "limit_by")
    listing, _ = list_data(options.data, **{name: recipe[name] for name in names})
    source, _ = read_listing(listing, **{name: recipe[name] for name in ("image_size", "channels", "fit")})
    codes = read_codes(options.run).set_index("id")
    source = source.select(np.flatnonzero(np.isin(source.ids, codes.index)))
    codes = codes.loc[source.ids].reset_index()
    pixels = source.take(np.arange(len(source))).x.reshape(len(source), -1).astype(np.float32) / 255
    train = (codes["split"] == "train").to_numpy()
    components = PCA(options.components, random_state=0).fit(pixels[train]).transform(pixels)
    about = codes[["id", "split", "group", "label", "y", *attribute_columns(codes)]]
    table = pd.concat([about, pd.DataFrame(components).add_prefix("salient")], axis=1).assign(common0=0.0)
    scores = score_codes(table).query("space == 'salient'").assign(space="pixels")
    scores.to_csv(options.out, index=False)
    print(scores.to_string(index=False))


if __name__ == "__main__":
    main()
