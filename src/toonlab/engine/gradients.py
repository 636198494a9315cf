"""How hard each loss term pulls at the picture."""

from __future__ import annotations

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from tqdm import tqdm

from toonlab.engine.intervals import Every
from toonlab.engine.method import Images, ToonMethod
from toonlab.engine.records import record


def term_gradients(method: ToonMethod, batch: Images) -> dict[str, float]:
    """L2 norm, at the generator's output, of each generator term's gradient, unweighted.

    Changes nothing: no `.grad`, no power iteration of a spectral norm.
    """
    painted: list[Tensor] = []
    method.eval()
    handle = method.generator.register_forward_hook(lambda _m, _i, out: painted.append(out))
    try:
        with torch.enable_grad():
            views = method.render(batch)
            handle.remove()
            norms = {}
            for name, term in method.generator_terms(batch, views).items():
                gradients = torch.autograd.grad(term(), painted, retain_graph=True, allow_unused=True)
                parts = [g.float().norm() for g in gradients if g is not None]
                norms[name] = torch.stack(parts).norm().item() if parts else 0.0
    finally:
        handle.remove()
        method.train()
    return norms


class GradientNorms(Every):
    """Logs each generator term's gradient norm at the output image, and its share of the weighted sum.

    For calibrating weights: a term whose share is near 0 trains nothing, one near 1 drowns the rest.

    Args:
        every: iterations between measurements.
        iterations: the run's length.
    """

    def __init__(self, *, every: int, iterations: int) -> None:
        super().__init__(every=every, iterations=iterations)
        self._batch: Images = {}

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Images, batch_idx: int
    ) -> None:
        self._batch = batch

    def run(self, trainer: Trainer, method: ToonMethod) -> None:
        norms = term_gradients(method, self._batch)
        weights = {name: weight(method.iteration) for name, weight in method.weights_now.items()}
        pulls = {name: weights.get(name, 0.0) * norm for name, norm in norms.items()}
        total = sum(pulls.values()) or 1.0
        scalars = {f"gradient/{name}": norm for name, norm in norms.items()}
        scalars |= {f"gradient_share/{name}": pull / total for name, pull in pulls.items()}
        record(trainer, method.iteration, scalars)
        if not trainer.is_global_zero:
            return
        for name, norm in norms.items():
            tqdm.write(
                f"{method.iteration:>7}  {name:<16} gradient {norm:.3e}  weight {weights.get(name, 0.0):.3g}"
                f"  share {pulls[name] / total:.1%}"
            )
