"""
The same person, without the disease and at another age
=======================================================

After this example you can give covariates to the decoder, and draw a person at another age,
with the disease and without it.

The images are simulated: a bright ring, which widens with age, and in patients a spot
inside. As the true image at any age is known, so is the error of what is drawn.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

rng, n = np.random.default_rng(0), 700
rows, columns = np.mgrid[:16, :16]


def draw(age, thickness, spot=None):
    """Return the image of a person: a ring, and a spot at an angle if there is one."""
    distance = np.hypot(rows - 7.5, columns - 7.5)
    image = 0.6 * np.exp(-(((distance - 3 - 3.5 * age / 80) / thickness) ** 2))
    if spot is not None:
        place = 7.5 + 2 * np.cos(spot), 7.5 + 2 * np.sin(spot)
        image += 0.4 * np.exp(-(((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / 2))
    return image.clip(0, 1)


label = np.where(np.arange(n) % 2, "ill", "well")
age, thickness = rng.uniform(20, 80, n), rng.uniform(0.8, 1.6, n)
spot = [
    angle if ill else None
    for angle, ill in zip(rng.uniform(0, 6.3, n), label == "ill", strict=True)
]
x = np.array([draw(*person) for person in zip(age, thickness, spot, strict=True)])

# %%
# Fit, with the age given to the decoder
# --------------------------------------
# The decoder gets the age, so that the codes need not carry it. Nothing forbids them to.
from sepvae import SepVAE
from sepvae.data import ArraySource, split

flat = (x + rng.normal(0, 0.02, x.shape)).reshape(n, -1)
source = ArraySource(flat, label, attributes=pd.DataFrame({"age": age}))
train, test = split(label, source.groups, test_size=0.3)
model = SepVAE(
    common_dim=4,
    salient_dim=4,
    background="well",
    condition_on=["age"],
    max_epochs=19,
    progress_bar=False,
)
model.fit(source.select(train))

# %%
# How far is the drawn image from the true one?
# ---------------------------------------------
# Held-out patients are drawn at 70 without the disease. The error is compared with those
# of two simple answers: their image as it is, and the mean of all controls.
ill = test[label[test] == "ill"]
wanted = np.array([draw(70, thickness[i]) for i in ill]).reshape(len(ill), -1)
drawn = model.reconstruct(source.select(ill), salient="none", at={"age": 70})
answers = {
    "drawn": drawn,
    "image as it is": flat[ill],
    "mean of controls (chance)": flat[train][label[train] == "well"].mean(axis=0),
}
for name, answer in answers.items():
    print(f"{name}: mean absolute error {np.abs(answer - wanted).mean():.3f}")

# %%
# One patient at five ages
# ------------------------
person = source.select(ill[:1])
figure, axes = plt.subplots(3, 6, figsize=(9, 4.8), layout="constrained")
for ax in axes.ravel():
    ax.set_axis_off()
axes[0, 0].imshow(person.x.reshape(16, 16), cmap="gray", vmin=0, vmax=1)
axes[0, 0].set_title(f"age {age[ill[0]]:.0f}\n(input)", fontsize=9)
for column, years in enumerate((20, 35, 50, 65, 80), start=1):
    images = [
        model.reconstruct(person, part, at={"age": years}) for part in ("own", "none")
    ]
    truth = draw(years, thickness[ill[0]])
    for ax, image in zip(axes[:, column], [*images, truth], strict=True):
        ax.imshow(image.reshape(16, 16), cmap="gray", vmin=0, vmax=1)
    axes[0, column].set_title(f"age {years}", fontsize=9)
axes[1, 0].text(0.5, 0.5, "without the\nsalient part", ha="center")
axes[2, 0].text(0.5, 0.5, "true image\nwithout disease", ha="center")

# %%
# "At another age" is what the simulation makes true here. In patients it is a statement of
# the model about people like them, and no forecast for one person.
