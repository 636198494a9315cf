"""Every config's losses against `reference.py`, and source 004's objectives as wholes."""

import pytest
import torch

from methods.reference import REFERENCES
from shipped import DISTINCT, OTHER_NAMES, batch_for, shipped
from toonlab.engine.method import Images, ToonMethod
from toonlab.engine.terms import weighted_sum
from toonlab.losses.adversarial import CrossEntropy, LeastSquares
from toonlab.networks.discriminators import PatchGAN, ResidualDiscriminator
from toonlab.representations.inpainting.bank import LatentBank

LENGTH = 100  # iterations of `shipped`
SUPERVISED = ["gan_v2", "cyclegan_v3", "cyclegan_v4", "cyclegan_v5", "cyclegan_v6"]


@pytest.mark.parametrize("name", DISTINCT)
def test_every_term_is_what_the_reference_computes(name: str) -> None:
    method = shipped(name, pool_size=0).eval()  # no power iteration between the two
    compare(method, batch_for(method, images=3))


@pytest.mark.parametrize("seed", range(1, 6))
def test_with_any_hole_and_first_guess_every_term_is_what_the_reference_computes(seed: int) -> None:
    method = shipped("latent_inpainting").eval()
    method.seed = seed
    compare(method, batch_for(method, seed, images=3))


@pytest.mark.parametrize("erode", [0, 1])
@pytest.mark.parametrize("seed", range(4))
def test_every_term_of_a_search_is_what_the_reference_computes(erode: int, seed: int) -> None:
    size = ("data.batch_size=3", "data.size=32", f"method.search.erode={erode}")
    method = shipped("latent_inpainting", "completion=search", *size).eval()
    method.seed = seed
    with torch.no_grad():
        method.bank = LatentBank.of(method.painter.encode(batch_for(method, seed + 9, images=5)["photo"]))
        method.completion.value.normal_(generator=torch.Generator().manual_seed(seed))
    compare(method, batch_for(method, seed, images=3))


def test_a_searchs_weights_are_section_8s() -> None:
    weights = shipped("latent_inpainting", "completion=search", "data.size=32").weights
    found = {name: weight(0) for name, weight in weights.items()}
    assert found == {"context": 1.0, "prior": 0.01, "bank": 0.1, "tv": 0.01}


def compare(method: ToonMethod, batch: Images) -> None:
    kind = type(method).__name__
    assert kind in REFERENCES, f"{kind} is not written a second time: add it to tests/methods/reference.py"
    with torch.no_grad():
        generator, discriminator = REFERENCES[kind](method, batch)
        views = method.render(batch)
        sides = (
            (generator, method.generator_terms(batch, views)),
            (discriminator, method.discriminator_terms(batch, views)),
        )
        for wanted, terms in sides:
            assert wanted.keys() == terms.keys()
            for term, value in terms.items():
                torch.testing.assert_close(value(), wanted[term], rtol=1e-5, atol=1e-6, msg=term)


@pytest.mark.parametrize(("alias", "name"), OTHER_NAMES.items())
def test_other_names_are_the_same_method(alias: str, name: str) -> None:
    one, two = shipped(alias), shipped(name)
    assert type(one) is type(two)
    for at in (0, 33, 99):
        assert {k: w(at) for k, w in one.weights.items()} == {k: w(at) for k, w in two.weights.items()}


@pytest.mark.parametrize("name", ["cyclegan", *SUPERVISED])
@pytest.mark.parametrize("at", [0, 25, 50, 99])
def test_the_objective_is_source_004s(name: str, at: int) -> None:
    method = shipped(name).eval()
    batch = batch_for(method)
    with torch.no_grad():
        terms, _ = REFERENCES[type(method).__name__](method, batch)
        total, _ = weighted_sum(method.generator_terms(batch, method.render(batch)), method.weights, at)
    large = 0.999 - 0.099 * at / LENGTH  # eq. 7's λ
    gamma = min(0.9, 0.9 * at / (LENGTH / 2))  # eq. 8's γ
    first = (
        terms["adversarial"]
        if name == "cyclegan"
        else (large * terms["paired"] + (1 - large) * terms["score_match"])
    )
    if name == "gan_v2":
        wanted = first
    elif name in ("cyclegan", "cyclegan_v3"):
        wanted = first + 10 * terms["cycle_pixel"] + terms["identity"]
    else:
        cycle = gamma * terms["cycle_feature"] + (1 - gamma) * terms["cycle_pixel"]
        wanted = first + 10 * cycle + terms["identity"]
    torch.testing.assert_close(total, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SUPERVISED)
def test_lambda_is_mirrored_and_gamma_stays_below_one(name: str) -> None:
    weights = shipped(name).weights
    values = [(weights["paired"](at), weights["score_match"](at)) for at in range(0, 2 * LENGTH, 7)]
    assert all(one + other == pytest.approx(1) for one, other in values)
    assert values[0][0] == pytest.approx(0.999)
    assert [v[0] for v in values] == sorted((v[0] for v in values), reverse=True)
    if name in ("cyclegan_v4", "cyclegan_v5", "cyclegan_v6"):
        gammas = [weights["cycle_feature"](at) / 10 for at in range(2 * LENGTH)]
        assert gammas == sorted(gammas)
        assert gammas[0] == 0
        assert gammas[LENGTH // 2] == gammas[-1] == pytest.approx(0.9)
        for at in range(0, 2 * LENGTH, 7):
            assert weights["cycle_pixel"](at) == pytest.approx(10 * (1 - gammas[at]))


def test_the_learning_rate_is_full_for_half_and_falls_to_nothing() -> None:
    rate = shipped("cyclegan").lr
    assert rate(0) == rate(50) == 1
    assert rate(75) == pytest.approx(0.5)
    assert rate(99) == pytest.approx(0.02)


def test_better_cycles_lets_the_cycle_weight_fall_but_not_to_nothing() -> None:
    constant, decay = shipped("cyclegan_v4"), shipped("cyclegan_v4", "method.cycle_weight=decay")
    for at in (0, 40, 99):
        for term in ("cycle_pixel", "cycle_feature"):
            share = 1 - 0.9 * at / LENGTH
            assert decay.weights[term](at) == pytest.approx(share * constant.weights[term](at))
        assert decay.weights["identity"](at) == constant.weights["identity"](at)


@pytest.mark.parametrize(("name", "soft"), [("cyclegan_v4", 0.0), ("cyclegan_v5", 0.1), ("cyclegan_v6", 0.1)])
def test_labels_are_soft_in_the_discriminators_step_alone(name: str, soft: float, monkeypatch) -> None:
    asked: list[torch.Tensor] = []

    def remember(loss: LeastSquares, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        asked.append(labels)
        return (scores - labels).square().mean()

    monkeypatch.setattr(LeastSquares, "compare", remember)
    method = shipped(name, pool_size=0)
    batch = batch_for(method, images=6)
    views = method.render(batch)
    for value in method.generator_terms(batch, views).values():
        value()
    assert all((labels == 1).all() for labels in asked)
    asked.clear()
    for value in method.discriminator_terms(batch, views).values():
        value()
    assert len(asked) == 4
    for real, fake in (asked[:2], asked[2:]):
        for labels in (real, fake):
            assert all(len(image.unique()) == 1 for image in labels)  # one draw for all patches of an image
            assert len(labels.unique()) == (6 if soft else 1)
        assert real.min() >= 1 - soft
        assert fake.max() <= soft
        assert not soft or (real.max() < 1 and fake.min() > 0)


def test_one_sided_labels_leave_fakes_at_nothing() -> None:
    scores, rng = torch.full((4, 1, 2, 2), 0.3), torch.Generator()
    loss = LeastSquares(soft=0.1, one_sided=True)
    assert loss.fake(scores, rng.manual_seed(0)) == pytest.approx(0.09)
    assert loss.real(scores, rng.manual_seed(0)) < 0.49


def test_what_each_variant_changes() -> None:
    assert isinstance(shipped("cyclegan_v5").d_target, PatchGAN)
    assert isinstance(shipped("cyclegan_v6").d_source, ResidualDiscriminator)
    assert isinstance(shipped("cyclegan_v6").d_target, ResidualDiscriminator)
    assert shipped("cyclegan").needs_pairs == shipped("gan_v1").needs_pairs == []
    for name in SUPERVISED:
        assert shipped(name).needs_pairs == ["paired", "score_match"]
    bce = shipped("cyclegan", "method.adversarial._target_=toonlab.losses.adversarial.CrossEntropy")
    assert isinstance(bce.adversarial, CrossEntropy)


@pytest.mark.parametrize("name", ["cyclegan_v4", "gan_v2"])
def test_the_direction_swaps_the_domains_and_nothing_else(name: str) -> None:
    there, back = shipped(name), shipped(name, "method.direction=to_photo")
    batch = batch_for(there)
    swapped = {"photo": batch["cartoon"], "cartoon": batch["photo"]}
    assert (there.source, there.target) == ("photo", "cartoon")
    assert (back.source, back.target) == ("cartoon", "photo")
    assert back.painting() == {"direction": "to_photo"}
    with torch.no_grad():
        one = there.generator_terms(batch, there.render(batch))
        two = back.generator_terms(swapped, back.render(swapped))
        for term in one:
            torch.testing.assert_close(one[term](), two[term]())


class Shift(torch.nn.Module):
    """A generator that adds a number."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = torch.nn.Parameter(torch.tensor(by))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + self.by


class Times(torch.nn.Module):
    """A discriminator whose score is a multiple of its image, and whose features are thrice the image."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = torch.nn.Parameter(torch.tensor(by))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return 3 * images

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.by * images[:, :1]


def test_cyclegans_terms_by_hand() -> None:
    method = shipped("cyclegan", pool_size=0)
    method.generator, method.inverse_generator = Shift(0.5), Shift(-0.2)
    method.d_target, method.d_source = Times(2.0), Times(-1.0)
    batch = {"photo": torch.full((2, 3, 8, 8), 0.1), "cartoon": torch.full((2, 3, 8, 8), 0.4)}
    views = method.render(batch)  # G(x) = 0.6, F(y) = 0.2; F(G(x)) = 0.4, G(F(y)) = 0.7
    terms = method.generator_terms(batch, views) | method.discriminator_terms(batch, views)
    wanted = {
        "adversarial": (2 * 0.6 - 1) ** 2 + (-0.2 - 1) ** 2,
        "paired": (0.6 - 0.4) ** 2 + (0.2 - 0.1) ** 2,
        "score_match": abs(2 * 0.4 - 2 * 0.6) + abs(-0.1 + 0.2),
        "cycle_pixel": abs(0.4 - 0.1) + abs(0.7 - 0.4),
        "cycle_feature": 3 * abs(0.4 - 0.1) + 3 * abs(0.7 - 0.4),
        "identity": 0.5**2 + 0.2**2,
        "source": (-0.1 - 1) ** 2 + (-0.2) ** 2,
        "target": (2 * 0.4 - 1) ** 2 + (2 * 0.6) ** 2,
    }
    assert {name: value().item() for name, value in terms.items()} == pytest.approx(wanted, rel=1e-5)
    terms["score_match"]().backward()
    # d/dG |2y - 2(x+g)| = 2, d/dF |-x + (y+f)| = 1: it pulls at G and F through their own scores alone
    assert method.generator.by.grad.item() == pytest.approx(2)
    assert method.inverse_generator.by.grad.item() == pytest.approx(1)


def test_gan_v2s_terms_by_hand() -> None:
    method = shipped("gan_v2", pool_size=0)
    method.generator, method.discriminator = Shift(0.5), Times(2.0)
    batch = {"photo": torch.full((2, 3, 8, 8), 0.1), "cartoon": torch.full((2, 3, 8, 8), 0.4)}
    views = method.render(batch)
    terms = method.generator_terms(batch, views) | method.discriminator_terms(batch, views)
    wanted = {
        "adversarial": (2 * 0.6 - 1) ** 2,
        "paired": (0.6 - 0.4) ** 2,
        "score_match": 2 * (0.6 - 0.4),
        "identity": 0.5**2,
        "target": (2 * 0.4 - 1) ** 2 + (2 * 0.6) ** 2,
    }
    assert {name: value().item() for name, value in terms.items()} == pytest.approx(wanted, rel=1e-5)
