"""What to type where a package is missing, for every way in which this one may have come."""

import json
from pathlib import Path
from typing import Any

import pytest

from allsight.machine import packages
from allsight.machine.packages import install_command, missing


class Installed:
    """What importlib.metadata says of an installed package."""

    def __init__(self, record: str | None) -> None:
        self.record = record

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self.record


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Pretend that the package lies in site-packages, with a record of where it came from."""
    monkeypatch.setattr(packages, "__file__", str(tmp_path / "lib" / "site-packages" / "allsight" / "machine" / "p.py"))

    def pretend(record: Any) -> None:
        packages._source.cache_clear()
        text = record if record is None or isinstance(record, str) else json.dumps(record)
        monkeypatch.setattr(packages, "distribution", lambda name: Installed(text))

    yield pretend
    packages._source.cache_clear()


def test_in_a_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packages._source.cache_clear()
    clone = Path(__file__).parents[2]
    monkeypatch.chdir(clone)
    assert install_command("fast") == 'pip install -e ".[fast]"'
    monkeypatch.chdir(tmp_path)
    assert install_command("fast") == f'pip install -e "{clone}[fast]"'


def test_from_a_wheel_on_the_disk(installed: Any, tmp_path: Path) -> None:
    wheel = tmp_path / "a b.whl"
    wheel.touch()
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert install_command("table") == f'pip install "{wheel}[table]"'


@pytest.mark.parametrize("record", [None, "{", {"url": "file:///gone/allsight.whl"}, {"url": "https://x.org/a.whl"}])
def test_from_an_index_or_from_what_is_gone(installed: Any, record: Any) -> None:
    installed(record)
    assert install_command("fast") == 'pip install "allsight[fast]"'


def test_missing_packages() -> None:
    assert missing("json", "no_such_package_here", "pathlib") == ["no_such_package_here"]
