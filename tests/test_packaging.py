"""The package as others get it: light to import, one version, a whole wheel, at ease beside a broken torchvision."""

import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns

import pytest

import allsight

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "allsight"

IMPORT_EVERYTHING = """
import pkgutil, sys
import allsight

names = [m.name for m in pkgutil.walk_packages(allsight.__path__, "allsight.", onerror=lambda name: sys.exit(name))]
for name in names:
    __import__(name)
print(len(names))
"""


def python(*words: str, path: Path | None = None, cwd: Path | None = None) -> str:
    """Run a fresh Python, with a folder in front of its path, and return what it printed."""
    environment = dict(os.environ) | ({"PYTHONPATH": str(path)} if path else {})
    done = subprocess.run([sys.executable, *words], env=environment, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_importing_allsight_takes_no_torch() -> None:
    heavy = python("-c", "import allsight, allsight.cli.main, sys; print({'torch', 'numpy', 'PIL'} & set(sys.modules))")
    assert heavy == "set()"


def test_there_is_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == allsight.__version__ == version("allsight")
    assert f"{allsight.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_a_broken_torchvision_breaks_nothing(tmp_path: Path) -> None:
    stub = tmp_path / "torchvision"
    stub.mkdir()
    (stub / "__init__.py").write_text('raise RuntimeError("operator torchvision::nms does not exist")\n')
    modules = sum(path.name != "__init__.py" or path.parent != PACKAGE for path in PACKAGE.rglob("*.py"))
    assert int(python("-c", IMPORT_EVERYTHING, path=tmp_path)) == modules


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy of the sources: building leaves things behind where it is done."""
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.split(".")[0]) < 77:
        pytest.skip(f"setuptools {setuptools.__version__} is too old to build with; 77 is needed")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        copy2(ROOT / name, source / name)
    copytree(ROOT / "src", source / "src", ignore=ignore_patterns("__pycache__", "*.egg-info"))
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(source / "dist"), str(source))
    (built,) = (source / "dist").glob("*.whl")
    return built


def test_wheel_is_whole(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    own = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    missing = [path for path in own if path.relative_to(PACKAGE.parent).as_posix() not in inside]
    assert not missing
    assert {"allsight/py.typed", "allsight/weights/imagenet.txt"} <= inside
    assert {name.partition("/")[0] for name in inside} == {"allsight", f"allsight-{allsight.__version__}.dist-info"}


def test_wheel_works_from_another_directory(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "elsewhere")
    look = "import allsight, allsight.weights.find as f; print(allsight.__file__, *f.available())"
    where, *models = python("-c", look, path=tmp_path / "elsewhere", cwd=tmp_path).split()
    assert Path(where).is_relative_to(tmp_path)
    assert models == sorted(path.parent.name for path in (PACKAGE / "weights").glob("*/config.json"))


def test_the_law_of_imports_is_printed_as_it_is_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    rooms = [layer.replace("allsight.", "").split(" | ") for layer in reversed(layers)]
    floors = [", ".join(room for room in floor if not room.startswith("(")) for floor in rooms]  # (planned ones)
    for name in ("CONTRIBUTING.md", "docs/puzzle.md"):
        assert " < ".join(floors) in " ".join((ROOT / name).read_text("utf-8").split()), name
