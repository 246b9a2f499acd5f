"""
Severity of patients
====================

After this example you can fit by how ill each patient is, and compare that with a fit by
groups.

The table is simulated: in patients 8 of 30 measures change in proportion to a severity
between 0.2 and 1. Everyone varies in three other ways.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sepvae import SepVAE
from sepvae.data import ArraySource, split

rng, n = np.random.default_rng(0), 1200
label = np.where(np.arange(n) % 2, "patient", "control")
severity = np.where(label == "patient", rng.uniform(0.2, 1, n), np.nan)
X = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 30)) + rng.normal(0, 0.7, (n, 30))
X[:, :8] += 2 * np.nan_to_num(severity)[:, None]
source = ArraySource(X, label, attributes=pd.DataFrame({"severity": severity}))
train, test = map(source.select, split(label, source.groups, test_size=0.3))

# %%
# Two fits
# --------
# Controls have no severity: the cell is empty. The fit by severity divides the column by
# its maximum among patients, and predicts it for everyone.
how = {"common_dim": 4, "salient_dim": 2, "batch_size": 32, "max_epochs": 19}
by_group = SepVAE(progress_bar=False, **how).fit(train)
by_severity = SepVAE(target="severity", severity="severity", progress_bar=False, **how).fit(
    train
)

# %%
# How well is severity read from each space?
# ------------------------------------------
# R2 of a linear probe among held-out patients, with its 95 % interval over people.
from sepvae.evaluation import score_codes
from sepvae.runs import encoded

rows = []
for name, model in (("by groups", by_group), ("by severity", by_severity)):
    table = pd.concat([encoded(model, train, "train"), encoded(model, test, "test")])
    scores = score_codes(table, n_permutations=0).query("attribute == 'severity'")
    rows.append(
        scores[scores["metric"].eq("r2") & scores["space"].ne("both")].assign(fit=name)
    )
scores = pd.concat(rows).set_index(["fit", "space"])[["score", "low", "high", "chance"]]
scores.round(2)

# %%
# What the second fit adds: a number for each person
# --------------------------------------------------
expected = by_severity.predict(test)
truth = np.nan_to_num(test.attributes["severity"].to_numpy())
ill = truth > 0

figure, ax = plt.subplots(figsize=(5, 4.5), layout="constrained")
ax.scatter(truth[~ill], expected[~ill], s=10, color="#0072B2", label="controls, at 0")
ax.scatter(truth[ill], expected[ill], s=10, color="#D55E00", label="patients")
ax.plot([0, 1], [0, 1], color="0.6", linewidth=1)
ax.set(xlabel="true severity", ylabel="expected severity", title="Held-out people")
ax.legend(frameon=False)

rho = pd.Series(expected[ill]).corr(pd.Series(truth[ill]), method="spearman")
print(f"Spearman's rho among patients: {rho:.2f}, by chance 0")

# %%
# Fit by groups first, and compare: on simulated brains the fit by severity did not read
# severity better, and left more of it in the common space.
