"""CartoonGAN in several styles: one trunk, residual adapters for each domain (source 000's second idea)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from toonlab.engine.method import Images
from toonlab.engine.pool import ImagePool
from toonlab.methods.cartoongan import CartoonGAN
from toonlab.networks.adapters import Adapted

SHOWN = 16  # cartoons that tell what a domain looks like


class AdaptedCartoonGAN(CartoonGAN):
    """CartoonGAN that passes the domain on: generator and discriminator are told the style of each batch.

    A batch's cartoons are of one domain, so its losses train that style and the trunk; other styles have no
    gradient, not one of zeros, and Adam leaves them alone. Each domain has a history of fakes of its own.

    Args:
        generator: holds every style, also those that are not trained.
        discriminator: holds the trained ones at least.
        domains: the styles of the generator, in its order.
        added: train this domain alone; the trunk and all other styles are frozen. None trains all.
        fresh_discriminator: with `added`: the discriminator is a new one, and learns with its trunk.
        kind: of the adapters, as both networks were given it; for the records.
        rank: likewise.
        base: of an adopted CartoonGAN, its own style's name; whoever puts the weights in has read it.
        pool_size: older fakes of each domain that the discriminator may be shown again; 0 shows none.
        **common: see `CartoonGAN`.
    """

    extras = ("blurred", "domain")

    def __init__(
        self,
        *,
        generator: Adapted,
        discriminator: Adapted,
        domains: Sequence[str],
        added: str | None,
        fresh_discriminator: bool,
        kind: str,
        rank: int,
        base: str,
        pool_size: int,
        **common: Any,
    ) -> None:
        super().__init__(generator=generator, discriminator=discriminator, **common)
        if list(domains) != generator.domains:
            raise ValueError(f"domains={list(domains)}: the generator holds {generator.domains}")
        self.domains = tuple(domains)
        self.trained = (added,) if added else self.domains
        self.kind, self.rank, self.added = kind, rank, added
        if added:
            generator.freeze_all_but(added)
            if not fresh_discriminator:
                discriminator.freeze_all_but(added)
        # "@": a ModuleDict has methods whose names are fine names for a domain.
        self.pools = nn.ModuleDict({f"@{domain}": ImagePool(pool_size) for domain in self.trained})
        self.likeness: dict[str, Tensor] = {}

    def transfer_batch_to_device(self, batch: Images, device: torch.device, dataloader_idx: int) -> Images:
        # The domain stays: it decides what Python does, and to read it from a GPU is to wait for that.
        moved: Images = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved | {"domain": batch["domain"]}

    def domain_of(self, batch: Images) -> str:
        """Return the domain of a batch."""
        return self.trained[int(batch["domain"][0])]

    def paint(self, batch: Images) -> Tensor:
        cartoon: Tensor = self.generator(batch["photo"], self.domain_of(batch))
        return cartoon

    def judge(self, images: Tensor, batch: Images) -> Tensor:
        scores: Tensor = self.discriminator(images, self.domain_of(batch))
        return scores

    def fakes(self, batch: Images, views: Images) -> Tensor:
        domain = self.domain_of(batch)
        pool = cast("ImagePool", self.pools[f"@{domain}"])
        return pool.query(views["cartoon"], self.rng(f"pool-{domain}", "cpu"))

    def begin_with(self, generator: nn.Module) -> None:
        """Take a trained generator as the trunk, which every style begins as."""
        own = cast("Adapted", self.generator)
        super().begin_with(
            Adapted(
                trunk=copy.deepcopy(generator),
                domains=own.domains,
                kind=own.kind,
                where=own.where,
                rank=own.rank,
                own=own.own,
            )
        )

    def meet(self, data: Any) -> None:
        """See what each trained domain looks like, for the day when one is added."""
        for domain in self.trained:
            self.describe(domain, data.panel(SHOWN, "cartoon", domain))

    @torch.no_grad()
    def describe(self, domain: str, cartoons: Tensor) -> Tensor:
        """Keep what a domain looks like: means and deviations of its cartoons' features, channel by channel.

        Args:
            domain: one of `trained`.
            cartoons: `(N, 3, H, W)` in [-1, 1].

        Returns:
            The vector, on the processor; `nearest` compares such ones.
        """
        maps = [map_.float().cpu() for map_ in self.features(cartoons).values()]
        parts = [part for map_ in maps for part in (map_.mean((0, 2, 3)), map_.std((0, 2, 3)))]
        self.likeness[domain] = torch.cat(parts)
        return self.likeness[domain]

    def panel(self, photos: Tensor, first: int) -> dict[str, Tensor]:
        return {self.source: photos} | {domain: self(photos, domain) for domain in self.domains}

    def facts(self) -> dict[str, Any]:
        generator = cast("Adapted", self.generator)
        return {
            "kind": self.kind,
            "added": self.added,
            "trunk_parameters": generator.plain_parameters,
            "domains": {
                domain: {
                    "parameters": sum(p.numel() for p in generator.style(domain).parameters()),
                    "share": round(generator.share(domain), 6),
                }
                for domain in self.domains
            },
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["toonlab"]["likeness"] = self.likeness

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.likeness = checkpoint["toonlab"]["likeness"]


def nearest(cartoons: Tensor, known: dict[str, Tensor]) -> str | None:
    """Return the domain whose description lies nearest to `cartoons`, Euclidean; None if none compares."""
    comparable = {name: each for name, each in known.items() if each.shape == cartoons.shape}
    return min(comparable, key=lambda name: float((comparable[name] - cartoons).norm()), default=None)
