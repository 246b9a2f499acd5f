"""
Comparing methods
=================

After this example you can compare methods on the same people, over seeds, and read the
table with its chance level.

The data are the small images of digits on photographs that come with the library: the
digit should be read from the salient space, and not from the common one.
"""

import tempfile
from pathlib import Path

import numpy as np

from sepvae.data import ArraySource, load_digits_on_photos


def small(source):
    """Average pixels in squares of 4 x 4, and write each image as a row of a table."""
    x = source.x.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(-1, 64)
    about = {"ids": source.ids, "groups": source.groups}
    about["attributes"] = source.attributes[["digit"]]
    return ArraySource(x, source.labels, **about)


train, test = map(small, load_digits_on_photos())
train = train.select(np.arange(0, len(train), 2))

# %%
# Contenders, seeds, cells
# ------------------------
# A cell is one fit of a contender with one seed. A benchmark that is stopped goes on where
# it was, and cells can run in parallel. An ablation is a contender, too: ``no CONS`` is
# SepVAE without the terms that make removal consistent.
from dataclasses import replace

from sepvae.benchmark import make_cells, parse_contender, run_benchmark

short = {"max_epochs": 10, "progress_bar": False}
keywords = {"SepVAE": short, "SepVAE:default:no CONS": short, "ContrastivePCA": {}}
contenders = [
    replace(parse_contender(name), keywords={"common_dim": 8, "salient_dim": 8, **rest})
    for name, rest in keywords.items()
]
results = run_benchmark(
    make_cells(contenders, seeds=[0, 1], n_folds=1),
    [(train, test)],
    Path(tempfile.mkdtemp()) / "benchmark",
    recipe="small digits",
    background="background",
    kinds={"digit": "categorical"},
)

# %%
# Where is the digit?
# -------------------
# Balanced accuracy of linear probes, mean and standard deviation over seeds.
chosen = results["attribute"].eq("digit") & results["metric"].eq("balanced_accuracy")
chosen &= results["space"].isin(["common", "salient"])
digit = results[chosen].groupby(["contender", "space"])["score"].agg(["mean", "std"])
chance = results.loc[chosen, "chance"].iloc[0]
digit.unstack().round(2)

# %%
import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
for space, colour in (("common", "#0072B2"), ("salient", "#D55E00")):
    of_space = digit.xs(space, level="space")
    how = {"xerr": of_space["std"], "fmt": "o", "color": colour, "label": space}
    ax.errorbar(of_space["mean"], of_space.index, **how)
ax.axvline(chance, color="0.6", linestyle="--", label="chance")
ax.set(xlabel="balanced accuracy of the digit", xlim=(0, 1), title="Far apart is good")
ax.invert_yaxis()
ax.legend(frameon=False)

# %%
gap = digit["mean"].unstack()
best = (gap["salient"] - gap["common"]).idxmax()
print(f"Largest gap between salient and common: {best}; chance is {chance:.2f} in both")

# %%
# Two seeds of short fits on one data set rank no methods. The results on this site have
# five seeds, longer fits, and intervals.
