"""
Several diseases
================

After this example you can fit two diseases against the same controls, and read what they
share and what each has of its own.

The table is simulated: 30 measures. Disease A and disease B both raise measures 0 to 4 by
an amount that differs between patients. A alone changes measures 10 to 14, B alone 20 to
24.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sepvae import SepVAE
from sepvae.data import ArraySource, split

rng, n = np.random.default_rng(0), 1200
label = np.resize(["control", "A", "control", "B"], n)
amount = {name: rng.normal(0, 1, n) for name in ("shared", "own of A", "own of B")}
has = {"shared": label != "control", "own of A": label == "A", "own of B": label == "B"}
X = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 30)) + rng.normal(0, 0.5, (n, 30))
for name, first in (("shared", 0), ("own of A", 10), ("own of B", 20)):
    X[:, first : first + 5] += (has[name] * (2 + amount[name]))[:, None]

# An amount that someone does not have is missing, not 0.
known = {name: np.where(has[name], amount[name], np.nan) for name in amount}
source = ArraySource(X, label, attributes=pd.DataFrame(known))
train, test = map(source.select, split(label, source.groups, test_size=0.3))

# %%
# A block of the salient space for each disease
# ---------------------------------------------
# ``shared_dim`` dimensions are for all diseases, the others are divided among them.
model = SepVAE(
    common_dim=4,
    salient_dim=6,
    shared_dim=2,
    background="control",
    max_epochs=19,
    progress_bar=False,
)
model.fit(train)
print(model.salient_blocks_)

# %%
# Which block knows what?
# -----------------------
# R2 of linear probes, scored on held-out patients. By chance it is 0.
from sepvae.evaluation import score_codes
from sepvae.runs import encoded

table = pd.concat([encoded(model, train, "train"), encoded(model, test, "test")])
scores = score_codes(table, blocks=model.salient_blocks_, n_permutations=0)
scores = scores[scores["attribute"].isin(known) & scores["metric"].eq("r2")]
r2 = scores.pivot_table("score", "attribute", "space").loc[list(known)]
r2 = r2[["common", *model.salient_blocks_]]
r2.round(2)

# %%
figure, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
image = ax.imshow(r2.clip(0), cmap="Oranges", vmin=0, vmax=1)
for (row, column), value in np.ndenumerate(r2.to_numpy()):
    ax.text(column, row, f"{value:.2f}", ha="center", va="center")
names = [name.replace(" of ", "\nof ").replace(", ", ",\n") for name in r2]
ax.set_xticks(range(r2.shape[1]), names)
ax.set_yticks(range(3), r2.index)
ax.set_title("R2 of each factor from each part of the codes")
figure.colorbar(image, ax=ax, label="R2 (0 by chance)")

# %%
print(f"Own factor of A: R2 {r2.loc['own of A', 'salient of A']:.2f} from the block of A,")
print(f"{r2.loc['own of A', 'salient of B']:.2f} from the block of B, by chance 0")

# %%
# Each own factor is in its block, and hardly in the other. The shared part holds more than
# what is shared: nothing in the loss keeps own factors out of it.
