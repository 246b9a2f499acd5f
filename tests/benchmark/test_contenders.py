import pytest

from sepvae import SepVAE
from sepvae.benchmark import parse_contender
from sepvae.benchmark.cells import Contender
from sepvae.errors import DataError


def test_a_name_says_method_preset_and_ablation():
    assert parse_contender("MMcVAE").name == "MMcVAE (default)"
    assert parse_contender("SepVAE:paper:no CLSF").name == "SepVAE (paper, no CLSF)"
    assert parse_contender("SepVAE::no MI") == Contender("SepVAE", "default", "no MI")


def test_an_ablation_is_its_preset_but_for_one_weight():
    full, ablated = (
        parse_contender(text).estimator(3).get_params() for text in ("SepVAE:paper", "SepVAE:paper:no MI")
    )
    assert {name for name in full if full[name] != ablated[name]} == {"kappa"}
    assert (ablated["kappa"], ablated["random_state"]) == (0, 3)


def test_a_preset_that_there_is_not_needs_a_recipes_keywords():
    with pytest.raises(
        DataError, match=r"SepVAE \(papr\): wanted a preset of SepVAE \(default, paper, background-prior\)"
    ):
        parse_contender("SepVAE:papr").estimator(0)
    assert Contender("SepVAE", "release", keywords={"network": "release"}).estimator(0).network == "release"


def test_networks_go_by_their_names():
    with pytest.raises(DataError, match="a benchmark takes networks by their names, not modules"):
        Contender("SepVAE", keywords={"network": (None, None)}).estimator(0)


def test_keywords_come_on_top_of_the_preset_and_all_data_are_learnt_from():
    model = Contender("SepVAE", "paper", keywords={"kappa": 7, "network": "e2"}).estimator(0)
    assert (model.kappa, model.network, model.gamma) == (7, "e2", SepVAE.presets["paper"]["gamma"])
    assert model.validation_fraction == 0
    assert Contender("SepVAE", keywords={"validation_fraction": 0.2}).estimator(0).validation_fraction == 0.2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SebVAE", r"method: wanted one of .*, got 'SebVAE'; did you mean SepVAE\?"),
        ("SepVAE:paper:no KL", "SepVAE has no ablation 'no KL'; there are no MI, no CLSF, no SAL, no CONS"),
        ("ConVAE:paper:no MI", "ConVAE has no ablation 'no MI'; there are none"),
    ],
)
def test_what_there_is_not(text, message):
    with pytest.raises(DataError, match=message):
        parse_contender(text)
