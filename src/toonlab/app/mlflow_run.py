"""MLflow: a local SQLite store, or a server, through Lightning's logger."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# It reports its use over the network unless told not to, before it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")

from filelock import FileLock
from lightning.pytorch.loggers import MLFlowLogger
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from toonlab.errors import UsageError

log = logging.getLogger(__name__)

SQLITE = "sqlite:///"
STATES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class MlflowMirror(MLFlowLogger):
    """The MLflow run of a run folder; its id is in `mlflow_id`, so a resumed run goes on in the same one.

    A server that stops answering is told no more: the run goes on, and its folder has everything.

    Raises:
        UsageError: there is no store at the URI.
    """

    def __init__(self, cfg: DictConfig, folder: Path) -> None:
        self._uri, self._kept, self._lost = str(cfg.mlflow.uri), folder / "mlflow_id", False
        for chatty in ("mlflow.store.db.utils", "alembic", "lightning.pytorch.loggers.mlflow"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        with _opening(self._uri):
            earlier = self._earlier()
            super().__init__(
                experiment_name=cfg.mlflow.experiment,
                run_name=cfg.mlflow.name,
                tracking_uri=self._uri,
                tags={key: str(value) for key, value in cfg.mlflow.tags.items()},
                artifact_location=_artifacts(self._uri),
                run_id=earlier,
            )
            self.is_new = earlier is None
            if not getattr(rank_zero_only, "rank", 0):
                self._begin(cfg)

    def _earlier(self) -> str | None:
        """Return the id of the run that this folder has in this store, if any."""
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        name = self._kept.read_text().strip() if self._kept.exists() else None
        try:
            return name and MlflowClient(self._uri).get_run(name).info.run_id
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # another store than before
                return None
            raise

    def _begin(self, cfg: DictConfig) -> None:
        self._kept.write_text(str(self.run_id))
        whole: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
        if self.is_new:  # a setting may not change later on, and `iterations` does
            self.log_hyperparams(whole)
        self.experiment.update_run(self.run_id, status="RUNNING")
        self.experiment.log_text(self.run_id, OmegaConf.to_yaml(whole), "config.yaml")

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._tell(lambda: super(MlflowMirror, self).log_metrics(metrics, step))

    @rank_zero_only
    def log_image(self, key: str, images: Iterable[str], step: int | None = None, **_: Any) -> None:
        for path in images:
            self._tell(lambda path=path: self.experiment.log_artifact(self.run_id, path, key))  # type: ignore[misc]

    def finalize(self, status: str = "success") -> None:
        """Lightning calls this a success after Ctrl-C, too: `close` has the last word."""

    @rank_zero_only
    def close(self, status: str) -> None:
        self._tell(lambda: self.experiment.set_terminated(self.run_id, STATES[status]))

    def _tell(self, say: Callable[[], object]) -> None:
        if self._lost:
            return
        try:
            say()
        except _failures() as error:
            self._lost = True
            log.warning("mlflow.uri=%s is told no more: %s", self._uri, str(error).splitlines()[0])


@contextmanager
def _opening(uri: str) -> Iterator[None]:
    """One process at a time makes the tables of a local store; a store that is none becomes one line."""
    try:
        if not uri.startswith(SQLITE):
            yield
            return
        database = Path(uri.removeprefix(SQLITE))
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock"):
            yield
    except _failures() as error:
        why = str(error).splitlines()[0]
        raise UsageError(
            f"mlflow.uri={uri}: {why}; give sqlite:///FILE.db or a server, http://HOST:5000"
        ) from error


def _failures() -> tuple[type[Exception], ...]:
    """Return what a store that is not there, not one, or locked for too long raises."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError


def _artifacts(uri: str) -> str | None:
    """Return where a local store puts its pictures; a server knows for itself."""
    database = Path(uri.removeprefix(SQLITE)).absolute()
    return (database.parent / f"{database.stem}_artifacts").as_uri() if uri.startswith(SQLITE) else None
