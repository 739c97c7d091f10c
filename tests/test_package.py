"""What holds the package together: quick import, layering, dependencies that agree, no pickles."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:  # pip ships the same parser
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "hacm").rglob("*.py"))

# No room imports from a room further down.
ROOMS = ["errors", "files", "lock", "orphan", "stops", "randomness", "skeleton", "config"]
ROOMS += ["presets", "data", "masking", "losses", "models", "training", "experiments", "viz", "cli"]


def room(module: str) -> int:
    part = module.split(".")[1] if "." in module else "errors"
    return ROOMS.index("cli" if part.startswith("cli") else part)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_way_of_the_data_has_one_direction(file):
    if file == ROOT / "hacm" / "__init__.py":
        return
    own = room(".".join(file.relative_to(ROOT).with_suffix("").parts))
    for node in ast.walk(ast.parse(file.read_text())):
        module = getattr(node, "module", None) if isinstance(node, ast.ImportFrom) else None
        if module and module.startswith("hacm."):
            assert room(module) <= own, f"{file.name} imports {module}"


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_unpickles(file):
    text = file.read_text()
    for call in re.findall(r"torch\.load\([^)]*\)", text):
        assert "weights_only=True" in call
    for call in re.findall(r"np\.load\([^)]*\)", text):
        assert "allow_pickle=False" in call
    assert not re.search(r"pickle\.loads?\(|joblib|read_pickle", text)


def test_import_is_quick_and_lazy():
    code = "import torch, sys, time; t = time.perf_counter(); import hacm"
    code += "; print(time.perf_counter() - t)"
    code += "; print(sorted({'plotly', 'geoopt', 'pandas', 'sklearn'} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    seconds, loaded = answer.stdout.split("\n")[:2]
    assert loaded == "[]" and float(seconds) < 0.3


def requirements(lines):
    """Names to minimum versions."""
    pairs = (re.fullmatch(r"([A-Za-z0-9_.-]+)>=([\d.]+)", line) for line in lines)
    return {pair[1].lower(): pair[2] for pair in pairs if pair}


def test_environment_and_pyproject_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = requirements(project["dependencies"])
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    listed = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    given = requirements(listed + pip)
    given["torch"] = given.pop("pytorch")
    assert f">={given.pop('python')}" == project["requires-python"]
    assert given == wanted


def test_every_dependency_is_pinned_in_the_constraints():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = requirements(project["dependencies"] + project["optional-dependencies"]["dev"])
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().split("==") for line in lines if line and not line.startswith("#"))
    assert set(wanted) == set(pins)

    def parts(version):
        return tuple(int(part) for part in re.findall(r"\d+", version)[:3])

    assert all(parts(pins[name]) >= parts(least) for name, least in wanted.items())
