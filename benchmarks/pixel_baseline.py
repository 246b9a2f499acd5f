"""
Score principal components of the pixels, fitted on a run's training part, by the probes of the run.

    python benchmarks/pixel_baseline.py RUN DATA OUT.csv [--components 128]

Reads DATA as the recipe of RUN says, in its split, and scores the components as if they were salient codes.
Covariates that the run takes out of a table (`residualise`) are taken out first, as in `sepvae benchmark`.
"""

import argparse
from pathlib import Path

import numpy as np

from sepvae.benchmark.cells import Pixels
from sepvae.evaluation import score_codes
from sepvae.run_folder import RunFolder
from sepvae.runs.new_data import read_again


def main() -> None:
    """Score the components and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--components", type=int, default=128)
    options = parser.parse_args()

    keywords = RunFolder(options.run).recipe.required()["keywords"]
    samples = read_again(options.run, options.data, None, None, print)
    codes = RunFolder(options.run).codes.required()
    is_train = np.isin(samples.train.ids.astype(str), codes.loc[codes["split"] == "train", "id"])
    pixels = Pixels(options.components, keywords["background"], residualise=keywords.get("residualise"))
    table = pixels.components(samples.train.select(np.flatnonzero(is_train)), samples.test)
    scores = score_codes(table).query("space == 'salient'").assign(space="pixels")
    scores.to_csv(options.out, index=False)
    print(scores.to_string(index=False))


if __name__ == "__main__":
    main()
