"""The import rule of docs/architecture.md, read from the syntax trees."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "toonlab"
GROUND = {"images", "keyed", "schedules", "errors", "digests", "heap", "hosts", "shipped", "__version__"}
ALLOWED = {
    "networks": GROUND,
    "representations": GROUND,
    "losses": GROUND,
    "data": GROUND | {"representations"},
    "metrics": GROUND | {"representations"},
    "engine": GROUND,
    "methods": GROUND | {"networks", "representations", "losses", "engine"},
    "reports": GROUND,
    "votes": GROUND | {"metrics", "reports"},
    "sweeps": {"errors"},
    "search": {"errors", "sweeps"},
    "inference": GROUND | {"networks", "representations", "losses", "engine"},
}
ONLY_IN = {
    "hydra": {"app"},
    "omegaconf": {"app"},
    "lightning": {"data", "engine", "app"},
    "wandb": {"app"},
    "gradio": {"app"},
    "gradio_client": {"app"},
    "fastapi": {"app"},
    "uvicorn": {"app"},
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == "toonlab" else {module}
    return found


def package_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


MODULES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=[str(p.relative_to(SOURCE)) for p in MODULES])
def test_imports_point_down(path: Path) -> None:
    package = package_of(path)
    if package not in ALLOWED:
        allowed = GROUND if package in GROUND else None
    else:
        allowed = ALLOWED[package] | {package}
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "toonlab" and len(parts) > 1 and allowed is not None:
            assert parts[1] in allowed, f"{path.name} imports {name}"
        if parts[0] in ONLY_IN:
            assert package in ONLY_IN[parts[0]], f"{path.name} imports {name}"


def test_a_sweep_starts_no_cuda_for_its_jobs() -> None:
    """Nor waits for torch's import: neither it nor what it imports knows torch."""
    names = ("launcher.launcher", "launcher.ray_launcher", "launcher.submitit_launcher", "search.sweeper")
    plugins = ", ".join(f"hydra_plugins.toonlab_{name}" for name in names)
    slow = {"torch", "optuna", "matplotlib", "ray", "submitit"}
    code = f"import sys, {plugins}; sys.exit(bool({slow} & set(sys.modules)))"
    src = str(SOURCE.parent)
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": src}).returncode == 0


def test_every_package_has_a_rule() -> None:
    packages = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    assert packages == set(ALLOWED) | {"app"}


@pytest.mark.parametrize("path", MODULES, ids=[str(p.relative_to(SOURCE)) for p in MODULES])
def test_only_the_engine_optimises(path: Path) -> None:
    calls = [
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    if package_of(path) != "engine":
        assert "manual_backward" not in calls
    assert "backward" not in calls, "AMP needs manual_backward"
