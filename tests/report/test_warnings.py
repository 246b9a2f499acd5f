import math

import numpy as np
import pandas as pd
import pytest

from sepvae.plotting import learning_curves
from sepvae.report.contents import Contents
from sepvae.report.warnings import (
    find_warnings,
    of_data,
    of_evidence,
    of_leaks,
    of_reconstructions,
    of_spaces,
    of_split,
    of_training,
)


def titles(warnings):
    return [warning.title for warning in warnings]


def plain(metric, score, space="salient"):
    return pd.DataFrame({"metric": [metric], "space": [space], "score": [score]})


def probed(space="salient", attribute="subtype", population="target", low=0.6, p=0.01, chance=0.5, groups=40):
    metric = "auc" if attribute == "label" else "balanced_accuracy"
    row = {"space": space, "attribute": attribute, "population": population, "metric": metric, "score": 0.75}
    return pd.DataFrame(
        [row | {"low": low, "high": 0.9, "chance": chance, "p_value": p, "n_test_groups": groups}]
    )


@pytest.mark.parametrize(
    ("units", "dimensions", "expected"),
    [
        (0, 2, ["The salient space has collapsed"]),
        (0, 0, ["The salient space has collapsed"]),
        (1, 16, ["The salient space has nearly collapsed"]),
        (1, 9, []),
        (2, 16, []),
    ],
)
def test_a_space_that_is_not_used_has_collapsed(units, dimensions, expected):
    codes = pd.DataFrame(columns=["split", "y", *(f"salient{i}" for i in range(dimensions))])
    found = list(of_spaces(plain("active_units", units), codes))
    assert titles(found) == expected
    assert all(f"{units} of {dimensions}" in w.seen[0] or not dimensions for w in found)


def test_the_common_space_can_collapse_too():
    assert titles(of_spaces(plain("active_units", 0, "common"), None)) == ["The common space has collapsed"]


@pytest.mark.parametrize(
    ("ratio", "seen"),
    [
        (1.99, "vary 2 times as much"),
        (0.4, "vary 0.4 times as much"),
        (math.nan, "cannot be computed"),
        (2.0, None),
        (math.inf, None),
    ],
)
def test_background_that_spreads_in_the_salient_space(ratio, seen):
    found = list(of_spaces(plain("variance_ratio", ratio), None))
    assert [warning.seen[0] for warning in found if seen and seen in warning.seen[0]] == [
        warning.seen[0] for warning in found
    ]
    assert len(found) == (seen is not None)


def test_without_scores_the_codes_themselves_tell_of_a_collapse(run):
    codes = pd.read_csv(run / "codes.csv")
    assert titles(of_spaces(None, codes)) == []
    dead = codes.assign(salient0=0.0, salient1=codes["salient1"] * 0.1)
    found = list(of_spaces(None, dead))
    assert titles(found) == [
        "The salient space has collapsed",
        "Background samples spread in the salient space",
    ]
    assert found[0].seen == ["0 of 2 salient dimensions vary over targets (variance above 0.01)."]
    assert titles(of_spaces(None, codes.assign(split="train"))) == []


def test_a_collapsed_space_is_not_blamed_twice():
    scores = pd.concat([plain("active_units", 0), plain("variance_ratio", math.nan)])
    assert titles(of_spaces(scores, None)) == ["The salient space has collapsed"]


def test_target_information_in_the_common_space_is_named_with_its_numbers():
    scores = pd.concat([probed("common", "label", "all"), probed("common"), probed("common", "age", "all")])
    (found,) = of_leaks(scores)
    assert found.title == "Target information is left in the common space: 2 of 2 questions"
    assert found.seen[1] == (
        "subtype among target samples: balanced accuracy 0.75 (95 % interval 0.60 to 0.90), chance 0.50."
    )


def test_common_information_in_the_salient_space_is_asked_of_everyone():
    scores = pd.concat([probed(), probed(attribute="age", population="all"), probed(attribute="age")])
    (found,) = of_leaks(scores)
    assert found.title == "Common information is in the salient space: 1 of 1 question"
    assert found.seen[0].startswith("age among all samples: ")


@pytest.mark.parametrize("doubt", [{"low": 0.5}, {"p": 0.06}, {"low": math.nan}])
def test_no_leak_without_evidence(doubt):
    assert titles(of_leaks(probed("common", **doubt))) == []


def test_many_leaks_are_counted_not_listed():
    scores = pd.concat([probed("common", f"a{i}") for i in range(9)])
    (found,) = of_leaks(scores)
    assert (len(found.seen), found.seen[-1]) == (6, "and 4 more.")


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"low": 0.45}, "salient space: not distinguishable from chance"),
        ({"p": 0.2}, "p = 0.20"),
        ({"chance": 0.95}, "salient space: worse than chance"),
        ({"groups": 4}, "only 4 test subjects"),
        ({"groups": 20}, None),
        ({"space": "common", "low": 0.45}, None),
        ({"attribute": "age", "population": "all", "low": 0.45}, None),
    ],
)
def test_weak_evidence_for_what_the_salient_space_should_know(change, seen):
    found = list(of_evidence(probed(**change)))
    assert len(found) == (seen is not None)
    assert all(seen in warning.seen[0] for warning in found)


def critic(losses, **other):
    return pd.DataFrame({"epoch": range(len(losses)), "train_critic_loss": losses, **other})


@pytest.mark.parametrize(
    ("losses", "warned"),
    [
        ([1.39, 1.386, 1.38, 1.377], True),
        ([1.39, 1.386, 1.37], False),  # it learnt in the end
        ([1.39, 1.386], False),  # too early to say
    ],
)
def test_a_critic_that_never_left_chance(losses, warned):
    found = titles(of_training(critic(losses)))
    assert found == ["The critic was at chance from the start"] * warned
    assert titles(of_training(critic(losses), critic_counts=False)) == []


def test_warnings_of_training_name_their_curve():
    metrics = critic([1.39, 1.386, 1.38], train_mutual_information=[0.0] * 3)
    (found,) = of_training(metrics)
    panels = {ax.get_title(loc="left") for ax in learning_curves(metrics).axes}
    for seen, column, panel in zip(
        found.seen,
        ["train_critic_loss", "train_mutual_information"],
        ["Critic loss", "Mutual information"],
        strict=True,
    ):
        assert f'{column} in metrics.csv, train in panel "{panel}" of the learning curves' in seen
        assert panel in panels


def test_a_critic_that_missed_what_both_codes_share():
    row = {"space": "both", "population": "target", "metric": "shared_information", "score": 0.6}
    for p_value, meaning in ((0.01, "share 0.60 nats or more: the critic missed it"), (0.3, "Either common")):
        scores = pd.DataFrame([row | {"p_value": p_value}])
        (found,) = of_training(critic([1.39] * 4), scores)
        assert meaning in found.meaning


def test_a_mutual_information_of_nothing():
    (found,) = of_training(critic([1.2] * 3, train_mutual_information=[0.0] * 3))
    (seen,) = found.seen
    assert seen.startswith(
        "The mutual information that it estimates (train_mutual_information in metrics.csv"
    )
    assert seen.endswith(" was 0 in all epochs.")
    assert titles(of_training(critic([1.2] * 3, train_mutual_information=[0, 1e-3, 0]))) == []


@pytest.mark.parametrize(
    ("loss", "warned"),
    [
        (np.linspace(10, 0, 20), True),
        (np.exp(-np.arange(40.0)), False),
        (np.linspace(10, 0, 9), False),  # too few epochs to say
        ([1.0], False),
        (np.linspace(0, 10, 20), False),
    ],
)
def test_a_loss_that_still_falls(loss, warned):
    metrics = pd.DataFrame({"epoch": range(len(loss)), "train_loss": -1.0, "validation_loss": loss})
    assert titles(of_training(metrics)) == ["The loss was still falling at the end"] * warned


def test_the_share_of_the_last_fall_is_told():
    metrics = pd.DataFrame({"epoch": range(10), "train_loss": [10, 9, 8, 7, 6, 5, 4, 3, 2, 0]})
    (found,) = of_training(metrics)
    assert found.seen[0].startswith(
        "20 % of all that the train loss fell, it fell in the last 1 of 10 epochs"
    )


def test_reconstructions_that_are_no_better_than_the_mean():
    inputs = np.random.default_rng(0).random((8, 1, 4, 4))
    mean = np.broadcast_to(inputs.mean(axis=0), inputs.shape)
    assert titles(of_reconstructions(inputs, mean)) == ["Reconstructions show next to nothing"]
    assert titles(of_reconstructions(inputs, (mean + inputs) / 2)) == []
    gaps = np.where(np.arange(8)[:, None, None, None] == 3, np.nan, inputs)
    assert len(list(of_reconstructions(gaps, mean))) == 1
    assert titles(of_reconstructions(inputs[:1], inputs[:1])) == []


def test_what_check_found_is_passed_on_by_level():
    levels = ("error", "warning", "warning", "note")
    found = list(of_data([{"level": level, "message": f"{i}"} for i, level in enumerate(levels)]))
    assert titles(found) == [
        "The check of the data found 1 error",
        "The check of the data found 2 warnings",
    ]
    assert found[1].seen == ["1", "2"]


def test_divided_groups_are_counted():
    split = pd.DataFrame({"group": list("aabbc"), "split": ["train", "test", "train", "test", "test"]})
    (found,) = of_split(split)
    assert found.seen == ["2 subjects have samples in more than one split."]
    assert list(of_split(split[1:3])) == []


def test_a_run_without_kappa_is_not_asked_for_its_critic(run):
    contents = Contents(run)
    contents.metrics, contents.findings = critic([1.39] * 5), None
    assert "The critic was at chance from the start" in titles(find_warnings(contents))
    contents.recipe["keywords"]["kappa"] = 0.0
    assert "The critic was at chance from the start" not in titles(find_warnings(contents))


def test_warnings_of_one_page_do_not_contradict_each_other(run):
    contents = Contents(run)
    contents.scores = pd.concat(
        [probed(attribute="age", population="all"), plain("active_units", 0)], ignore_index=True
    )
    contents.recipe["keywords"] |= {"beta_salient": 1.0, "swap_salient": 1.0}
    actions = {warning.title: warning.action for warning in find_warnings(contents)}
    assert actions["The salient space has collapsed"] == (
        "Keywords to try: beta_salient: lower it. Or train longer."
    )
    assert actions["Common information is in the salient space: 1 of 1 question"] == (
        "Keywords to try: swap_salient: raise it; kappa: raise it; beta_salient: lower it, as said above. "
        "Compare with the same attribute among targets only."
    )
    contents.scores = contents.scores[:1]
    leak = next(warning for warning in find_warnings(contents) if "Common" in warning.title)
    assert "beta_salient: raise it." in leak.action


@pytest.mark.parametrize("keyword", ["alpha", "gamma"])
def test_only_keywords_of_the_method_are_advised(run, keyword):
    contents = Contents(run)
    contents.scores = pd.concat([plain("active_units", 0), probed("common")], ignore_index=True)
    contents.recipe["keywords"] = {keyword: 2.0}  # of a linear method
    collapse = next(warning for warning in find_warnings(contents) if "collapsed" in warning.title)
    assert collapse.action == f"Keywords to try: {keyword}: try another."


def test_training_longer_is_advised_alone_where_no_keyword_is(run):
    contents = Contents(run)
    contents.scores = pd.concat([plain("active_units", 0), probed("common")], ignore_index=True)
    contents.recipe["keywords"] = {"max_epochs": 3, "network": "mlp"}
    collapse = next(warning for warning in find_warnings(contents) if "collapsed" in warning.title)
    assert collapse.action == "Train longer."


def test_a_folder_with_nothing_but_a_recipe_has_no_warning(tmp_path):
    (tmp_path / "recipe.yaml").write_text("method: SepVAE\n")
    assert find_warnings(Contents(tmp_path)) == []
