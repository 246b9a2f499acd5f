"""
Digits on photographs
=====================

After this example you can fit a model, take the salient part out of an image, and say
what each of the two spaces knows.

The data come with the library. A background image is half a photograph, a target image
is half a photograph plus half a handwritten digit. No label says which digit it is.
"""

import pandas as pd

from sepvae import SepVAE
from sepvae.data import ArraySource, load_digits_on_photos


def small(source):
    """Average pixels in squares of 2 x 2, and write each image as a row of a table."""
    x = source.x.reshape(-1, 16, 2, 16, 2).mean(axis=(2, 4)).reshape(-1, 256)
    about = {
        "groups": source.groups,
        "ids": source.ids,
        "attributes": source.attributes,
    }
    return ArraySource(x, source.labels, **about)


train, test = map(small, load_digits_on_photos())
print(len(train), "images to fit,", len(test), "held out")

# %%
# Fit
# ---
# Small images as rows of a table are fitted in seconds. ``sepvae demo`` fits the images
# themselves, with convolutions, in some minutes.
model = SepVAE(common_dim=16, salient_dim=16, max_epochs=15, progress_bar=False).fit(train)

codes = model.encode(test)  # needs no labels
print(codes.common_mean.shape, codes.salient_mean.shape)

# %%
# What does each space know?
# --------------------------
# Probes are linear models on frozen codes. They learn from the images of the fit, and are
# scored on the others. The digit belongs to the salient space, all else to the common one.
from sepvae.evaluation import score_codes
from sepvae.runs import encoded

table = pd.concat([encoded(model, train, "train"), encoded(model, test, "test")])
scores = score_codes(table, n_permutations=0)
chosen = scores["metric"].isin(["balanced_accuracy", "r2"]) & (scores["space"] != "both")
chosen &= scores["population"].eq("target") & scores["attribute"].isin(
    ["digit", "brightness"]
)
scores = scores.loc[
    chosen, ["attribute", "space", "metric", "score", "low", "high", "chance"]
]
scores.round(2)

# %%
# Images without their salient part
# ---------------------------------
from sepvae.plotting import reconstruction_grid


def images(rows):
    """Return rows of pixels as images in [0, 1]."""
    return rows.clip(0, 1).reshape(-1, 1, 16, 16)


full, without = model.reconstruct(test), model.reconstruct(test, salient="none")
shown = [images(rows) for rows in (test.x, full, without)]
figure = reconstruction_grid(*shown, test.labels, background="background", max_per_label=3)
figure

# %%
digit = scores[scores["attribute"] == "digit"].set_index("space")
print(
    f"Digits read from salient codes: {digit['score']['salient']:.2f}, from common codes: "
    f"{digit['score']['common']:.2f}, by chance: {digit['chance']['salient']:.2f}"
)

# %%
# The separation is not perfect: common codes know more of the digit than chance. This is
# one short fit; the results on this site have seeds, other methods and images in full size.
