"""`allsight bench` on toy benchmarks: a table of what they say, failures that stop nothing, and what is stored."""

import json
from pathlib import Path

import pytest

from allsight.cli import bench

SCRIPT = """
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--json")
parser.add_argument("--quick", action="store_true")
given = parser.parse_args()
print("much that nobody asked for")
headline = [{{"what": "toy", "ours": "1 ms", "peer": "sloth 2 ms" if given.quick else "sloth 3 ms", "ratio": 2.5}}]
found = {{"benchmark": "{name}", "machine": {{"cpu": "{cpu}"}}, "headline": headline, "rows": []}}
open(given.json, "w").write(json.dumps(found))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "benchmarks"
    made.mkdir()
    for name, cpu in (("nms", "Z80"), ("coco", "6502")):
        (made / f"{name}.py").write_text(SCRIPT.format(name=name, cpu=cpu))
    return made


def stored(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "results").glob("*"))


def test_one_table_of_all(call, folder: Path) -> None:
    result = call("bench", "--folder", folder)
    assert result.code == 0
    rows = [line.split() for line in result.out.splitlines() if "toy" in line]
    assert rows == [[name, "toy", "1", "ms", "sloth", "3", "ms", "2.50"] for name in ("nms", "coco")]
    assert "nms: cpu Z80" in result.out and "coco: cpu 6502" in result.out
    assert "1/2 nms: running" in result.err and "nobody asked" not in result.out + result.err
    assert stored(folder) == ["coco.json", "nms.json"]


def test_only_the_named_ones_and_quick_ones_are_not_stored(call, folder: Path) -> None:
    result = call("bench", "coco", "--folder", folder, "--quick", "--json", "-")
    assert result.code == 0
    (found,) = json.loads(result.out)
    assert found["benchmark"] == "coco" and found["headline"][0]["peer"] == "sloth 2 ms"
    assert stored(folder) == []


def test_a_failing_one_is_reported_and_the_others_go_on(call, folder: Path) -> None:
    call("bench", "nms", "--folder", folder)
    before = (folder / "results" / "nms.json").read_text()
    (folder / "nms.py").write_text("import sys; sys.exit('no rulers left')")
    result = call("bench", "--folder", folder)
    assert result.code == 1
    assert "failed with exit code 1 (no rulers left)" in result.err and "failed: nms" in result.err
    assert "coco" in result.out and "nms" not in result.out
    assert (folder / "results" / "nms.json").read_text() == before


@pytest.mark.parametrize("script", ["", "import sys; open(sys.argv[2], 'w').write('[]')"])
def test_one_that_writes_nothing_sensible_has_failed(call, folder: Path, script: str) -> None:
    (folder / "nms.py").write_text(script)
    result = call("bench", "nms", "--folder", folder)
    assert result.code == 1 and "is not what a benchmark writes" in result.err and stored(folder) == []


def test_recorded_measures_nothing(call, folder: Path) -> None:
    call("bench", "coco", "--folder", folder, "--json", "one.json")
    for script in folder.glob("*.py"):
        script.write_text("raise SystemExit('was run')")
    result = call("bench", "--folder", folder, "--recorded")
    assert result.code == 0 and "coco" in result.out and result.one_line() == "allsight: not measured yet: nms"
    shown = call("bench", "--folder", folder, "--recorded", "--json", "-")
    assert json.loads(shown.out) == json.loads(Path("one.json").read_text())


def test_without_benchmarks_one_line_says_so(call, tmp_path: Path) -> None:
    result = call("bench", "--folder", tmp_path / "absent")
    assert result.code == 2 and "clone of the repository; give --folder" in result.one_line()


def test_an_unknown_name_runs_nothing(call, folder: Path) -> None:
    result = call("bench", "nms", "cocoo", "--folder", folder)
    assert result.code == 2 and "'cocoo'; there are nms, coco" in result.one_line() and stored(folder) == []


def test_what_is_listed_is_there_and_readable() -> None:
    home = Path(__file__).parents[2] / "benchmarks"
    assert all((home / f"{name}.py").is_file() for name in bench.BENCHMARKS)
    for name in bench.BENCHMARKS:
        if (path := home / "results" / f"{name}.json").is_file():
            record = bench.read(path)
            assert record["benchmark"] == name and 1 <= len(record["headline"]) <= 3
