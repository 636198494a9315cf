"""Hydra's sweeper `hydra/sweeper=optuna`: it says what a trial is, `toonlab.search` chooses and judges.

Hydra imports this file for every command, so nothing here imports torch or Optuna before a search begins.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log
from hydra.errors import InstantiationException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig

from hydra_plugins.toonlab_launcher.launcher import SweepLauncher
from toonlab.app.jobs import Planned, composed
from toonlab.app.space import space_of
from toonlab.app.sweeps import GROUPS
from toonlab.errors import UsageError
from toonlab.search import picture
from toonlab.search.result import conclude
from toonlab.search.scores import Metric
from toonlab.search.space import Space
from toonlab.sweeps import sweep
from toonlab.sweeps.command_line import RESUMES, definition_of, how_of
from toonlab.sweeps.manifest import NAME, Manifest, load
from toonlab.sweeps.words import key_of

if TYPE_CHECKING:
    from toonlab.search.search import Search
    from toonlab.search.trials import Trials

log = logging.getLogger(__name__)

OWNER = ".search"
"""File in a sweep's folder: the name by which a study knows it."""


class OptunaSweeper(Sweeper):
    """Searches for the values with which runs score best.

    Args:
        sampler: `_target_` of one of Optuna's; chooses the values.
        storage: URL of a database; null: `study.db` in the sweep's folder.
        study: its name there; null: the sweep folder's.
        n_trials: runs in all, over all resumes and hosts.
        metric: score of a validation, or `auto`: the one that picks a run's best checkpoint.
        direction: minimize, maximize, or `auto`: as the metric's name says.
        pick: which validation stands for a run, its `best` or its `last`.
        give_up: end the search if so many runs have failed and none has not; 0 goes on.
        params: values by key, as overrides; the command line has the last word.
        pruner: `_target_` of one of Optuna's; gives up on runs that are behind. None: on none.
    """

    def __init__(
        self,
        *,
        sampler: DictConfig,
        storage: str | None,
        study: str | None,
        n_trials: int,
        metric: str,
        direction: str,
        pick: str,
        give_up: int,
        params: Mapping[str, Any] | None,
        pruner: DictConfig | None = None,
    ) -> None:
        for key, value, least in (("n_trials", n_trials, 1), ("give_up", give_up, 0)):
            if not isinstance(value, int) or value < least:
                raise UsageError(f"hydra.sweeper.{key}={value}: a whole number, {least} or more")
        for package in ("optuna", "matplotlib"):
            if importlib.util.find_spec(package) is None:
                raise UsageError(
                    f"hydra/sweeper=optuna needs the package {package}: pip install -e '.[search]'"
                )
        self.sampler, self.pruner, self.storage, self.study = sampler, pruner, storage, study
        self.n_trials, self.give_up, self.params = n_trials, give_up, dict(params or {})
        self.metric = Metric.asked(metric, direction=direction, pick=pick)
        self.config: DictConfig
        self.context: HydraContext
        self.launcher: SweepLauncher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        if not isinstance(launcher, SweepLauncher):
            raise UsageError(
                "hydra/sweeper=optuna runs trials side by side in processes of their own: use "
                "hydra/launcher=gpus or cpus"
            )
        self.config, self.context, self.launcher = config, hydra_context, launcher

    def sweep(self, arguments: list[str]) -> Any:
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        space = space_of(self.params, arguments, self.context.config_loader)
        probe = self._composed(space.words(space.corner()), 0)  # a mistake is told before anything begins
        folder, resume = self.launcher.folder, RESUMES in os.environ
        kept = load(folder).jobs if resume and (folder / NAME).is_file() else []
        # Without the files that chose this sweeper, Hydra would not know its settings.
        files = [word for word in arguments if key_of(word) in GROUPS]
        planned = [self._composed([*files, *job.overrides], job.number) for job in kept]
        begun: list[Search] = []
        try:
            sweep.run(
                folder,
                definition_of(sys.argv),
                [each.job for each in planned],
                {each.job.id: each.plan for each in planned},
                engine=self.launcher.engine(
                    jobs=self.n_trials, devices=max(each.job.devices for each in (probe, *planned))
                ),
                stop_on_error=self.launcher.on_error == "stop",
                report=self.launcher.script.with_name("report.py") if self.launcher.report else None,
                resume=resume,
                how=how_of(sys.argv),
                supply=lambda manifest: self._begin(manifest, space, begun),
            )
        finally:
            for search in begun:
                search.settle()
                self._conclude(search)
                if search.refused:
                    raise search.refused
        for search in begun:
            _check_scored(search)

    def _composed(self, words: Sequence[str], number: int) -> Planned:
        return composed(self.config, self.context, words, number)

    def _begin(self, manifest: Manifest, space: Space, begun: list[Search]) -> Search:
        from toonlab.search.search import Search

        manifest.definition = definition_of(sys.argv)  # there may be more trials than when it began
        search = Search(
            manifest,
            self._trials(manifest, space),
            space=space,
            metric=self.metric,
            compose=self._composed,
            n_trials=self.n_trials,
            give_up=self.give_up,
        )
        begun.append(search)
        return search

    def _trials(self, manifest: Manifest, space: Space) -> Trials:
        import optuna

        from toonlab.search.storage import opened
        from toonlab.search.trials import Trials

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = _made("sampler", self.sampler)
        pruner = _made("pruner", self.pruner) if self.pruner else optuna.pruners.NopPruner()
        metric = {"metric": self.metric.name or "auto", "pick": self.metric.pick, "sign": self.metric.sign}
        return Trials(
            storage=opened(self.storage or f"sqlite:///{manifest.folder / 'study.db'}"),
            name=self.study or manifest.folder.name,
            owner=_owner(manifest.folder),
            distributions=space.distributions,
            sampler=sampler,
            pruner=pruner,
            direction=self.metric.direction,
            definition={"space": space.definition(), **metric},
        )

    def _conclude(self, search: Search) -> None:
        folder = search.manifest.folder
        log.info("%s", conclude(search.trials, search.space, search.metric, folder))
        if picture.draw(search.trials, search.metric, folder):
            log.info("search: %s shows all trials", folder / picture.NAME)


def _check_scored(search: Search) -> None:
    """Refuse to call it a success if runs had no score to go by.

    Raises:
        UsageError: so it was.
    """
    jobs = search.manifest.jobs
    silent = [job for job in jobs if job.state == "finished" and job.reason]
    if silent:
        raise UsageError(
            f"{len(silent)} of {len(jobs)} runs finished without a score to compare ({silent[0].reason}); "
            "give them images enough to be validated and eval_every=…, or name another hydra.sweeper.metric"
        )


def _made(key: str, node: DictConfig) -> Any:
    from optuna.exceptions import ExperimentalWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return instantiate(node)
    except (InstantiationException, ImportError) as error:
        cause = error.__cause__ or error
        told = str(cause).strip().splitlines()[0]
        raise UsageError(f"hydra/sweeper/{key}: {node.get('_target_')} cannot be made ({told})") from error


def _owner(folder: Path) -> str:
    path = folder / OWNER
    if not path.is_file():
        part = path.with_name(f"{OWNER}.part")
        part.write_text(f"{folder.name}_{secrets.token_hex(8)}", encoding="utf-8")
        part.replace(path)
    return path.read_text(encoding="utf-8")
