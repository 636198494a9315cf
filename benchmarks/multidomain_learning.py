"""The ways to learn several classification tasks that multidomain_classification.py compares."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from multidomain_data import Domain, Part
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import MultiStepLR

from toonlab.networks.adapters import Adapted, Kind
from toonlab.networks.layers import Residual

KINDS: dict[str, Kind] = {"norms": "norm", "low rank": "low_rank", "parallel": "parallel", "series": "series"}
WAYS = ("frozen trunk", *KINDS, "series, prepared trunk", "separate", "from scratch")


class Learner(NamedTuple):
    """How long and how: the adapters paper's SGD, a tenth of the rate at 2/3 and 5/6 of the way."""

    iterations: int
    batch: int = 32
    rate: float = 0.1
    decay: float = 5e-4

    def fit(self, model: Model, domains: Mapping[str, Domain], seed: int, train: bool = True) -> None:
        """Teach what requires a gradient; several domains take turns, one a batch.

        Args:
            model: what learns.
            domains: tasks by their names in the model.
            seed: of the order and the shifts.
            train: whether norms use (and follow) the batch's statistics; a frozen trunk's do not.
        """
        rng = torch.Generator().manual_seed(seed)
        parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(
            parameters, self.rate, momentum=0.9, weight_decay=self.decay, nesterov=True
        )
        steps = [round(self.iterations * share) for share in (2 / 3, 5 / 6)]
        schedule = MultiStepLR(optimizer, steps, gamma=0.1)
        model.train(train)
        names = list(domains)
        orders: dict[str, Tensor] = {name: torch.empty(0, dtype=torch.long) for name in names}
        for iteration in range(self.iterations):
            name = names[iteration % len(names)]
            source = domains[name].train
            if len(orders[name]) < self.batch:
                orders[name] = torch.cat([orders[name], torch.randperm(len(source.labels), generator=rng)])
            chosen, orders[name] = orders[name].split([self.batch, len(orders[name]) - self.batch])
            scores = model(shifted(source.images[chosen], rng), name)
            F.cross_entropy(scores, source.labels[chosen]).backward()
            optimizer.step()
            optimizer.zero_grad()  # to None: what a batch did not touch, momentum and decay do not move
            schedule.step()


def shifted(images: Tensor, rng: torch.Generator, reach: int = 2) -> Tensor:
    """Move the batch by up to `reach` pixels each way, the border repeated."""
    x, y = torch.randint(0, 2 * reach + 1, (2,), generator=rng).tolist()
    padded = F.pad(images, [reach] * 4, mode="replicate")
    return padded[..., y : y + images.shape[2], x : x + images.shape[3]]


def trunk(width: int) -> nn.Sequential:
    """Return a residual network with batch norms: `(B, 3, 32, 32)` to features `(B, 4 width)`."""
    layers = [*_conv(3, width), nn.ReLU(), nn.MaxPool2d(2)]  # most of the cost would be at 32x32
    for inputs, outputs in ((width, width), (width, 2 * width), (2 * width, 4 * width)):
        if inputs != outputs:
            layers += [*_conv(inputs, outputs, stride=2), nn.ReLU()]
        layers += [Residual(*_conv(outputs, outputs), nn.ReLU(), *_conv(outputs, outputs)), nn.ReLU()]
    for layer in nn.Sequential(*layers).modules():
        if isinstance(layer, nn.Conv2d):  # from torch's own, 2.4 times as small, some runs never leave chance
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _conv(inputs: int, outputs: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)


class Model(nn.Module):
    """A network of features and a linear head for each task: scores `(B, classes)`."""

    def __init__(self, body: nn.Module, domains: Iterable[Domain], features: int) -> None:
        super().__init__()
        self.body = body
        self.heads = nn.ModuleDict({domain.name: nn.Linear(features, domain.classes) for domain in domains})

    def forward(self, images: Tensor, name: str) -> Tensor:
        features = self.body(images, name) if isinstance(self.body, Adapted) else self.body(images)
        scores: Tensor = self.heads[name](features)
        return scores

    @torch.no_grad()
    def right(self, part: Part, name: str) -> Tensor:
        """Return which images are classified rightly, `(N,)`."""
        self.eval()
        scores = torch.cat([self(images, name) for images in part.images.split(250)])
        return scores.argmax(1) == part.labels

    def own(self, name: str) -> int:
        """Return how many parameters one task has for itself, but for its head."""
        if isinstance(self.body, Adapted):
            return sum(p.numel() for p in self.body.style(name).parameters())
        return sum(p.numel() for p in self.body.parameters() if p.requires_grad)


class Result(NamedTuple):
    """What one way made of one domain."""

    way: str
    domain: str
    seed: int
    right: list[bool]
    parameters: int  # the domain's own, without its head


def pretrain(
    domain: Domain, width: int, learner: Learner, seed: int, prepared: bool
) -> tuple[nn.Module, Result]:
    """Train a trunk on one domain; `prepared` has series adapters in it from the start.

    Returns:
        The body, and how well it does on its own domain.
    """
    torch.manual_seed(seed)
    body: nn.Module = trunk(width)
    if prepared:
        body = Adapted(trunk=body, domains=[domain.name], kind="series", where="all")
    model = Model(body, [domain], 4 * width)
    learner.fit(model, {domain.name: domain}, seed)
    way = "series, prepared trunk" if prepared else "trunk's own task"
    return body, Result(
        way, domain.name, seed, model.right(domain.test, domain.name).tolist(), model.own(domain.name)
    )


def learn(
    way: str, body: nn.Module, domain: Domain, width: int, rank: int, learner: Learner, seed: int
) -> Result:
    """Learn one more domain in one of the `WAYS`, from a trained body.

    A prepared body is for `series, prepared trunk`; the others take a plain one.
    """
    torch.manual_seed(seed + 1)  # heads start alike in every way
    heads = Model(nn.Identity(), [domain], 4 * width).heads
    body = copy.deepcopy(body)
    if way == "from scratch":
        body = trunk(width)
    elif way in KINDS:
        body = Adapted(trunk=body, domains=[domain.name], kind=KINDS[way], where="all", rank=rank)
    elif isinstance(body, Adapted):
        body.add(domain.name)
    if isinstance(body, Adapted):
        body.freeze_all_but(domain.name)
    elif way == "frozen trunk":
        body.requires_grad_(False)
    model = Model(body, [domain], 4 * width)
    model.heads = heads
    learner.fit(model, {domain.name: domain}, seed, train=way != "frozen trunk")
    right = model.right(domain.test, domain.name).tolist()
    return Result(way, domain.name, seed, right, model.own(domain.name))


def learn_jointly(domains: list[Domain], width: int, learner: Learner, seed: int) -> list[Result]:
    """Learn a trunk and parallel adapters for all domains from random weights, domains in turn."""
    torch.manual_seed(seed)
    names = [domain.name for domain in domains]
    body = Adapted(trunk=trunk(width), domains=names, kind="parallel", where="all")
    model = Model(body, domains, 4 * width)
    learner.fit(model, {domain.name: domain for domain in domains}, seed)
    return [
        Result("joint, parallel", d.name, seed, model.right(d.test, d.name).tolist(), model.own(d.name))
        for d in domains
    ]
