"""Covariates of the decoder (`condition_on`): what they change in the loss, in samples and in files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from sepvae import CLVM, ConVAE, MMcVAE, RbVAE, SepVAE, load
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.errors import DataError, ModelFileError
from sepvae.interpretation.maps import SalientMaps
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.training.sampling import draw_noise

from ..helpers import quick

FEATURES = list("abcd")
Y = np.repeat(["hc", "sz"], 40)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    about = {"age": rng.normal(50, 10, 80), "sex": np.array(["F", "M"] * 40)}
    return pd.DataFrame(rng.normal(size=(80, 4)), columns=FEATURES).assign(**about)


@pytest.fixture(scope="module")
def fitted(frame: pd.DataFrame) -> SepVAE:
    return SepVAE(**quick(condition_on=["age", "sex"], network="linear")).fit(frame, Y)


@pytest.mark.parametrize(
    "method", [SepVAE(), ConVAE(), MMcVAE(), CLVM(), RbVAE(), RbVAE(symmetric=False)], ids=str
)
def test_covariates_without_weights_leave_the_loss_as_it_was(method: Any) -> None:
    """Zero weights of u, and all else equal: each term, gradient and critic is that of a fit without u."""
    objective, rng = method.objective(), torch.Generator().manual_seed(0)
    how = {"decoder": objective.decoder, "critic_kind": objective.critic_kind}
    plain = build_autoencoder("mlp", (5,), 3, 2, 2, **how)
    wide = build_autoencoder("mlp", (5,), 3, 2, 2, n_covariates=2, **how)
    x, u = torch.randn(12, 5, generator=rng), torch.randn(12, 2, generator=rng)
    y, state = torch.arange(12) % 2, wide.state_dict()
    for name, weight in plain.state_dict().items():
        if state[name].shape != weight.shape:  # [.., c, u, s]: as wide as both
            extra = state[name].shape[1] - weight.shape[1]
            after_c = {"decoder": 3}.get(name.split(".")[0], weight.shape[1] - 2 * ("target" in name))
            state[name] = torch.cat(
                [weight[:, :after_c], torch.zeros(len(weight), extra), weight[:, after_c:]], 1
            )
            assert extra == 2
        else:
            state[name] = weight
    wide.load_state_dict(state)
    values = []
    for model, given in ((plain, ()), (wide, (u,))):
        codes = objective.posterior(model.encode(x), y)
        noise = draw_noise(codes, torch.Generator().manual_seed(1))
        torch.manual_seed(2)
        losses = objective.losses(model, x, y, codes, noise, *given)
        critic = objective.critic_loss(model, x, y, codes, noise, *given)
        values.append(losses.terms | losses.logged | {"critic": critic})
    for name, value in values[0].items():
        torch.testing.assert_close(value, values[1][name], msg=name)


@pytest.mark.parametrize("method", [SepVAE(), RbVAE()], ids=str)
def test_covariates_change_terms_of_the_decoder_only(method: Any) -> None:
    model = build_autoencoder(
        "mlp", (5,), 3, 2, 2, n_covariates=1, critic_kind=method.objective().critic_kind
    )
    x, y = torch.randn(12, 5), torch.arange(12) % 2
    terms = []
    for u in (torch.zeros(12, 1), torch.ones(12, 1)):
        codes = method.objective().posterior(model.encode(x), y)
        noise = draw_noise(codes, torch.Generator().manual_seed(1))
        torch.manual_seed(2)
        terms.append(method.objective().losses(model, x, y, codes, noise, u).terms)
    changed = {name for name, value in terms[0].items() if not torch.equal(value, terms[1][name])}
    decoded = {"reconstruction", "removal_common", "removal_salient", "swap_common", "swap_salient"}
    matched = {"forward_kl", "reverse_kl", "latent_reconstruction"}  # the discriminator sees u, too
    assert changed == {name for name in terms[0] if name in decoded | matched}


def test_another_age_moves_samples_along_the_weights_of_the_decoder(
    fitted: SepVAE, frame: pd.DataFrame
) -> None:
    """With a linear decoder: weight times the change of the standardised age, in units of X."""
    moved = fitted.reconstruct(frame, at={"age": 60.0}) - fitted.reconstruct(frame)
    train = np.setdiff1d(np.arange(80), fitted.validation_indices_)
    spread = frame["age"].iloc[train].std(ddof=0)
    assert fitted.module_.decoder is not None
    scores = np.outer((60 - frame["age"]) / spread, fitted.module_.decoder.weight[:, 2].detach().numpy())
    wanted = fitted.principal_scores_.inverse_transform(scores) - fitted.principal_scores_.inverse_transform(
        0 * scores
    )
    np.testing.assert_allclose(moved, wanted * fitted.scaler_.scale_, atol=1e-5)
    women = fitted.reconstruct(frame, at={"sex": "F"})
    own = (frame["sex"] == "F").to_numpy()
    np.testing.assert_array_equal(women[own], fitted.reconstruct(frame)[own])
    assert (women[~own] != fitted.reconstruct(frame)[~own]).all()


def test_the_decoder_learns_what_a_covariate_does_and_c_drops_it() -> None:
    """A measure that bends with age is drawn by age; c, which has to carry the other measures, has it not."""
    rng = np.random.default_rng(0)
    age, other = rng.normal(size=(2, 400))
    bend = age**2 - 1
    x = np.column_stack([bend, 2 * bend, age, other, -other]) + 0.1 * rng.normal(size=(400, 5))
    frame, y = pd.DataFrame(x, columns=list("vwxyz")), rng.integers(0, 2, size=400)
    how = quick(common_dim=3, max_epochs=40, batch_size=100, learning_rate=1e-2, validation_fraction=0)
    model = SepVAE(**how | SepVAE.ablations["no CONS"], kappa=0, network="mlp", condition_on=["age"])
    means = model.fit(frame.assign(age=age), y).encode(frame).common_mean
    design = np.column_stack([np.ones(400), means])
    left = [v - design @ np.linalg.lstsq(design, v)[0] for v in (age, other)]
    assert left[0].var() / age.var() > 0.8
    assert left[1].var() / other.var() < 0.1
    drawn = np.array([model.reconstruct(frame[:1], at={"age": a})[0, 0] for a in (-2.0, 0.0, 2.0)])
    np.testing.assert_allclose(drawn, [3, -1, 3], atol=0.8)


@pytest.mark.parametrize(
    "keywords", [{"augment": lambda x: x}, {"gradient_checkpointing": True}], ids=["augment", "checkpointing"]
)
def test_covariates_go_with_their_samples_through_other_options(
    keywords: dict[str, Any], frame: pd.DataFrame
) -> None:
    how = quick(condition_on=["age", "sex"], max_epochs=2, batch_size=16)
    wanted, model = (SepVAE(**how, **given).fit(frame, Y) for given in ({}, keywords))
    np.testing.assert_array_equal(model.reconstruct(frame), wanted.reconstruct(frame))


def test_codes_need_no_covariates_and_samples_do(fitted: SepVAE, frame: pd.DataFrame) -> None:
    wanted = fitted.encode(frame).common_mean
    np.testing.assert_array_equal(fitted.encode(frame[FEATURES]).common_mean, wanted)
    gaps = frame.assign(age=np.nan, sex="unknown")
    np.testing.assert_array_equal(fitted.transform(gaps)[:, :2], wanted)
    ages = frame[[*FEATURES, "age"]]
    np.testing.assert_array_equal(
        fitted.reconstruct(ages, at={"sex": "M"}), fitted.reconstruct(frame, at={"sex": "M"})
    )
    for give in (fitted.reconstruct, fitted.reconstruction_error, lambda x: fitted.swap(x, frame)):
        with pytest.raises(DataError, match="condition_on: wanted a covariate 'sex' of these samples"):
            give(ages)
    np.testing.assert_array_equal(fitted.swap(frame, frame[FEATURES]), fitted.reconstruct(frame))


def test_without_covariates_samples_are_those_of_an_average_person(
    fitted: SepVAE, frame: pd.DataFrame
) -> None:
    train = frame.drop(index=fitted.validation_indices_)
    common, salient = np.zeros((2, 2)), np.zeros((2, 2))
    of_ages = [
        fitted.decode(common, salient, covariates=train[:2].assign(age=train["age"].mean(), sex=s))[0]
        for s in "FM"
    ]
    women = (train["sex"] == "F").mean()
    average = women * of_ages[0] + (1 - women) * of_ages[1]  # of a linear decoder
    np.testing.assert_allclose(fitted.decode(common, salient)[0], average, atol=1e-5)
    assert fitted.sample(3).shape == (3, 4)
    with pytest.raises(DataError, match="covariates: wanted a row for each of 2 samples, got 3"):
        fitted.decode(common, salient, covariates=train[:3])


def test_maps_hold_the_covariates_fixed(frame: pd.DataFrame) -> None:
    model = SepVAE(**quick(condition_on="age, sex", network="mlp")).fit(frame, Y)
    source = ArraySource(frame[FEATURES], Y, attributes=frame[["age", "sex"]])
    ((_, maps),) = SalientMaps(model, source)
    wanted = model.reconstruct(frame) - model.reconstruct(frame, "none")
    np.testing.assert_allclose(maps.added, wanted, atol=1e-5)
    np.testing.assert_allclose(maps.without, model.reconstruct(frame, "none"), atol=1e-5)


def test_conditioning_joins_residuals(frame: pd.DataFrame) -> None:
    model = SepVAE(**quick(residualise=["age"], condition_on=["sex"])).fit(frame, Y)
    both = model.reconstruct(frame, at={"age": 60, "sex": "F"})
    of_age = model.reconstruct(frame, at={"age": 60}) - model.reconstruct(frame)
    of_sex = model.reconstruct(frame, at={"sex": "F"}) - model.reconstruct(frame)
    np.testing.assert_allclose(both, model.reconstruct(frame) + of_age + of_sex, atol=1e-5)
    assert (np.abs(of_age).max(axis=0) > 0).all()
    with pytest.raises(DataError, match="no column 'age'"):
        model.encode(frame[FEATURES])  # what is removed is needed


def test_saved_models_decode_alike(fitted: SepVAE, frame: pd.DataFrame, tmp_path: Path) -> None:
    again = load(fitted.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.reconstruct(frame), fitted.reconstruct(frame))
    np.testing.assert_array_equal(
        again.reconstruct(frame, at={"age": 60}), fitted.reconstruct(frame, at={"age": 60})
    )
    about = json.loads((tmp_path / "model" / "model.json").read_text())
    assert about["conditions"] == {
        "kinds": {"age": "continuous", "sex": "categorical"},
        "levels": {"sex": ["F", "M"]},
    }
    for name, change, message in (
        ("keywords", {"condition_on": None}, "wanted condition_on=.*age"),
        ("conditions", None, "conditions.average"),
        ("conditions", {"kinds": {"age": "continuous"}, "levels": {}}, "conditions.average"),
    ):
        other = {**about, name: change if name == "conditions" else {**about[name], **change}}
        (tmp_path / "model" / "model.json").write_text(json.dumps(other))
        with pytest.raises(ModelFileError, match=message):
            load(tmp_path / "model")


def test_a_resumed_fit_is_one_without_break(frame: pd.DataFrame, tmp_path: Path) -> None:
    def fit(epochs: int, name: str, x: pd.DataFrame = frame) -> SepVAE:
        how = quick(condition_on=["age"], max_epochs=epochs, checkpoint=tmp_path / name)
        return SepVAE(**how).fit(x.drop(columns="sex"), Y)

    whole, _ = fit(3, "whole"), fit(1, "parts")
    resumed = fit(3, "parts")
    for name, weight in whole.module_.state_dict().items():
        assert torch.equal(resumed.module_.state_dict()[name], weight), name
    with pytest.raises(ModelFileError, match="holds another fit"):
        fit(4, "parts", frame.assign(age=frame["age"] ** 2))


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 6, 7, 6)])
def test_images_and_volumes_that_are_streamed(shape: tuple[int, ...], frame: pd.DataFrame) -> None:
    x = np.random.default_rng(1).random((80, *shape)).astype(np.float32)
    about = {"attributes": frame[["age", "sex"]]}
    how = quick(condition_on=["age", "sex"], num_workers=0)
    stream = StreamSource(lambda rows: x[rows], shape, Y, **about)
    models = [SepVAE(**how).fit(source) for source in (ArraySource(x, Y, **about), stream)]
    for at in (None, {"age": 60}):
        decoded = [model.reconstruct(stream, at=at) for model in models]
        np.testing.assert_array_equal(*decoded)
    np.testing.assert_array_equal(models[0].encode(x).common_mean, models[1].encode(stream).common_mean)
    everyone = models[0].reconstruct(x, at={"age": 60, "sex": "F"})
    np.testing.assert_allclose(everyone, models[0].reconstruct(stream, at={"age": 60, "sex": "F"}), atol=1e-5)
    with pytest.raises(DataError, match="condition_on: wanted a covariate 'age' of these samples"):
        models[0].reconstruct(x)


def test_a_decoder_of_the_user_gets_c_u_and_s(frame: pd.DataFrame) -> None:
    encoder = nn.Linear(4, 8)
    how = quick(condition_on=["age", "sex"])
    model = SepVAE(**how, network=(encoder, nn.Linear(6, 4))).fit(frame, Y)
    assert model.reconstruct(frame).shape == (80, 4)
    with pytest.raises(DataError, match=r"the decoder does not take input of shape \(2, 6\)"):
        SepVAE(**how, network=(encoder, nn.Linear(4, 4))).fit(frame, Y)


@pytest.mark.parametrize(
    ("keywords", "change", "message"),
    [
        ({"condition_on": ["height"]}, {}, "no column 'height'"),
        ({"condition_on": 3}, {}, "condition_on: wanted names of covariates"),
        ({"condition_on": ["age", "age"]}, {}, "condition_on: 'age' is named twice"),
        ({"condition_on": "age", "residualise": "age"}, {}, "condition_on: 'age' is removed from the input"),
        ({"condition_on": "sex", "harmonise": "sex"}, {}, "condition_on: 'sex' is removed from the input"),
        (
            {"condition_on": "age, sex"},
            {"age": [np.nan] * 3 + [40.0] * 77},
            "samples have no 'age'; fill it in",
        ),
        ({"condition_on": "age, sex"}, {"age": [-9999.0] * 2 + [40.0, 41.5] * 39}, "condition_on: .*-9999"),
        ({"condition_on": "sex"}, {"sex": "F"}, "got the same sex of all"),
    ],
)
def test_bad_covariates(
    frame: pd.DataFrame, keywords: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        SepVAE(**quick(**keywords)).fit(frame.assign(**change), Y)


def test_covariates_of_new_samples_are_those_that_were_fitted(fitted: SepVAE, frame: pd.DataFrame) -> None:
    for change, message in (
        ({"sex": "X"}, r"80 of 80 samples have sex 'X', which no person that was fitted has \(F, M\)"),
        ({"age": np.nan}, "80 of 80 samples have no 'age'"),
        ({"age": "old"}, "wanted numbers as 'age', got 'old'"),
    ):
        with pytest.raises(DataError, match=f"condition_on: {message}"):
            fitted.reconstruct(frame.assign(**change))
    for at, message in (
        ({"sex": "X"}, "no person that was fitted has"),
        ({"height": 3}, "at: wanted one of age, sex, got 'height'"),
        ({"age": [1, 2]}, "at: wanted one value"),
    ):
        with pytest.raises(DataError, match=message):
            fitted.reconstruct(frame, at=at)
    with pytest.raises(DataError, match="got an array, which names none"):
        SepVAE(**quick(condition_on=["age"])).fit(frame[FEATURES].to_numpy(), Y)
