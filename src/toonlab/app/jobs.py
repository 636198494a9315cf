"""From the overrides of `-m` to jobs: each composed and resolved here, so that a mistake is told at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import filter_overrides
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from toonlab.app.sweeps import GROUPS
from toonlab.errors import UsageError
from toonlab.sweeps.manifest import Job, identity
from toonlab.sweeps.words import key_of


class Planned(NamedTuple):
    """A job and its resolved config."""

    job: Job
    plan: dict[str, Any]


def composed(config: DictConfig, context: HydraContext, given: Sequence[str], number: int) -> Planned:
    """Compose one job.

    Args:
        config: of the sweep, as Hydra hands it to a launcher.
        context: Hydra's.
        given: overrides of the job, those that all jobs have among them.
        number: place in the sweep.
    """
    cfg = context.config_loader.load_sweep_config(config, list(given))
    with open_dict(cfg):
        cfg.hydra.job.id = cfg.hydra.job.num = number
    HydraConfig.instance().set_config(cfg)
    folder = str(cfg.hydra.sweep.subdir)
    with open_dict(cfg):
        del cfg["hydra"]
    plan: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    overrides = [word for word in given if key_of(word) not in GROUPS]
    fixed = set(config.hydra.overrides.task)
    devices = plan["trainer"].get("devices", 1)
    job = Job(
        id=identity(plan),
        number=number,
        overrides=overrides,
        swept=[word for word in filter_overrides(overrides) if word not in fixed],
        folder=folder,
        iterations=int(plan["iterations"]),
        devices=devices if isinstance(devices, int) and devices > 0 else 1,
    )
    return Planned(job, plan)


def composed_all(
    config: DictConfig, context: HydraContext, given: Sequence[Sequence[str]], first: int
) -> list[Planned]:
    """Compose all jobs of a sweep, numbered from `first`.

    Raises:
        UsageError: two of them are the same.
    """
    found: dict[str, Planned] = {}
    for number, overrides in enumerate(given, first):
        each = composed(config, context, overrides, number)
        if twin := found.get(each.job.id):
            words = " ".join(each.job.overrides)
            raise UsageError(f"jobs {twin.job.number} and {number} are the same: {words}")
        found[each.job.id] = each
    return list(found.values())
