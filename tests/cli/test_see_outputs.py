"""What `see` writes besides annotated copies: some classes only, counts, what is cut out, blurred pictures, tables."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_model import CLASSES

from allsight.machine import packages
from allsight.machine.packages import install_command


def pictures_of(folder: Path) -> list[dict]:
    return json.loads((folder / "seen.json").read_text(encoding="utf-8"))["pictures"]


def labels_of(picture: dict) -> list[str]:
    return [item["label"] for item in picture["objects"]]


@pytest.fixture
def folder(picture, tmp_path) -> Path:
    """Pictures in folders below one."""
    for i, name in enumerate(("a.png", "day 1/a.png", "day 1/b.png", "day 2/deep/c.png")):
        picture(tmp_path / "in" / name, (90, 70), seed=i)
    return tmp_path / "in"


def test_folders_are_mirrored(call, folder, detector, tmp_path):
    assert call("see", "in", "--model", detector, "--crops").code == 0
    drawn = {str(path.relative_to(tmp_path / "seen")) for path in (tmp_path / "seen").rglob("*.jpg")}
    assert {name for name in drawn if not name.startswith("crops")} == {
        "a.jpg", "day 1/a.jpg", "day 1/b.jpg", "day 2/deep/c.jpg",
    }  # fmt: skip
    assert call("see", "in/day 1", "in/day 2", "in/a.png", "--model", detector, "--out", "several").code == 0
    several = {str(path.relative_to(tmp_path / "several")) for path in (tmp_path / "several").rglob("*.jpg")}
    assert several == {"day 1/a.jpg", "day 1/b.jpg", "day 2/deep/c.jpg", "a.jpg"}


def test_default_folder_is_free(call, folder, detector, tmp_path):
    for expected in ("seen", "seen-2", "seen-3"):
        result = call("see", "in", "--model", detector)
        assert result.code == 0
        assert f"what was seen in {expected}/seen.json" in result.out
        assert len(pictures_of(tmp_path / expected)) == 4
    (tmp_path / "empty").mkdir()
    assert call("see", "in", "--model", detector, "--out", "empty").code == 0
    # Nothing of what was drawn is looked at again, wherever it lies; unless it is named.
    assert call("see", ".", "--model", detector, "--out", "all").code == 0
    assert len(pictures_of(tmp_path / "all")) == 4
    assert call("see", "seen-2", "--model", detector, "--out", "twice").code == 0
    assert len(pictures_of(tmp_path / "twice")) == 4


def test_a_missing_picture_is_told_before_a_taken_folder(call, folder, detector):
    assert call("see", "in", "--model", detector).code == 0
    assert "nowhere.jpg: does not exist" in call("see", "nowhere.jpg", "--out", "seen").one_line()
    assert "exists already" in call("see", "in", "--model", detector, "--out", "seen").one_line()


def test_only_some_classes(call, folder, detector, tmp_path):
    assert call("see", "in", "--model", detector, "--out", "all").code == 0
    assert call("see", "in", "--model", detector, "--out", "some", "--class", "dog", CLASSES[2]).code == 0
    every, some = pictures_of(tmp_path / "all"), pictures_of(tmp_path / "some")
    assert sum(len(picture["objects"]) for picture in some) > 0
    for whole, part in zip(every, some, strict=True):
        assert part["objects"] == [item for item in whole["objects"] if item["label"] in ("dog", CLASSES[2])]
        assert len(part["objects"]) < len(whole["objects"])


def test_an_unknown_class_is_one_line(call, folder, detector, tmp_path):
    assert (
        "--class dogg: tiny knows no such class; did you mean dog?"
        in call("see", "in", "--model", detector, "--class", "dogg").one_line()
    )
    assert "did you mean cat?" in call("see", "in", "--model", detector, "--blur", "CAT").one_line()
    assert f"there are {', '.join(CLASSES)}" in call("see", "in", "--model", detector, "--class", "zzz").one_line()
    swallowed = call("see", "in/a.png", "--model", detector, "--class", "dog", "in")
    assert "pictures stand before this option" in swallowed.one_line()
    assert not (tmp_path / "seen").exists()


def test_a_class_that_is_never_shown_is_told(call, picture, tmp_path):
    from tiny_model import tiny_detector

    model = tiny_detector()
    model.display.thresholds["dog"] = 1.01
    model.save(tmp_path / "shy")
    picture(tmp_path / "a.png")
    for option in ("--class", "--blur"):
        line = call("see", "a.png", "--model", "shy", option, "dog").one_line()
        assert f"{option} dog: shy is never sure enough" in line and "--threshold" in line
    assert call("see", "a.png", "--model", "shy", "--class", "dog", "--threshold", "0.3").code == 0


def test_counts_are_those_of_the_json(call, folder, detector, tmp_path):
    result = call("see", "in", "--model", detector, "--count")
    assert result.code == 0
    total: Counter[str] = Counter()
    rows = [re.split(r"\s{2,}", line.strip()) for line in result.out.splitlines()]
    head = next(row for row in rows if row[0] == "picture")
    for picture in pictures_of(tmp_path / "seen"):
        counts = Counter(labels_of(picture))
        total += counts
        row = next(row for row in rows if row[0] == picture["path"])  # names occur twice: paths are told
        assert {name: int(n.replace(",", "")) for name, n in zip(head[1:], row[1:], strict=True)} == {
            **{name: counts[name] for name in CLASSES},
            "all": sum(counts.values()),
        }
    last = next(row for row in rows if row[0] == "4 pictures")
    assert [int(n.replace(",", "")) for n in last[1:]] == [*(total[name] for name in head[1:-1]), sum(total.values())]
    one = call("see", "in", "--model", detector, "--out", "one", "--count", "--class", "dog")
    assert re.search(rf"^4 pictures +{total['dog']:,}$", one.out, re.M)


def test_what_is_cut_out_is_what_lies_in_the_boxes(call, folder, detector, tmp_path):
    assert call("see", "in", "--model", detector, "--crops").code == 0
    names = set()
    for picture in pictures_of(tmp_path / "seen"):
        place = Path(picture["path"]).relative_to("in").with_suffix("")
        for number, item in enumerate(picture["objects"], start=1):
            label = "Äpfel & Birnen" if item["label"] == CLASSES[2] else item["label"]
            path = tmp_path / "seen" / "crops" / label / f"{place}-{number}.jpg"
            names.add(path)
            x1, y1, x2, y2 = item["box"]
            with Image.open(path) as image:
                wide, high = x2 - x1, y2 - y1
                margin = 0.1 * max(wide, high)
                height, width = picture["size"]
                assert abs(image.width - (min(x2 + margin, width) - max(x1 - margin, 0))) <= 2
                assert abs(image.height - (min(y2 + margin, height) - max(y1 - margin, 0))) <= 2
                cut = np.asarray(image).astype(float).mean()
            with Image.open(picture["path"]) as whole:
                left, top = int(max(x1 - margin, 0)), int(max(y1 - margin, 0))
                part = whole.convert("RGB").crop((left, top, left + image.width, top + image.height))
            assert abs(cut - np.asarray(part).astype(float).mean()) < 3
    assert names == set((tmp_path / "seen" / "crops").rglob("*.jpg"))
    assert len(names) > 0
    refused = call("see", "in", "--model", detector, "--out", "seen", "--crops", "--json", "x.json", "--no-draw")
    assert "seen/crops: exists already" in refused.one_line()


def detail(image: Image.Image) -> float:
    """How much neighbouring pixels differ."""
    return float(np.abs(np.diff(np.asarray(image.convert("L")).astype(float), axis=1)).mean())


def test_blurred_objects_are_gone_and_the_rest_stays(call, folder, detector, tmp_path):
    assert call("see", "in/a.png", "--model", detector, "--out", "plain", "--plain").code == 0
    scores = [i["score"] for i in pictures_of(tmp_path / "plain")[0]["objects"] if i["label"] == "dog"]
    words = ("see", "in/a.png", "--model", detector, "--plain", "--threshold", sorted(scores)[-2] - 0.0005, "--blur")
    assert call(*words, "dog", "--out", "blurred").code == 0
    boxes = [item["box"] for item in pictures_of(tmp_path / "blurred")[0]["objects"] if item["label"] == "dog"]
    assert boxes
    covered = np.zeros((70, 90), dtype=bool)
    for x1, y1, x2, y2 in boxes:
        covered[max(int(y1) - 12, 0) : int(y2) + 12, max(int(x1) - 12, 0) : int(x2) + 12] = True
    with Image.open(tmp_path / "plain" / "a.jpg") as sharp, Image.open(tmp_path / "blurred" / "a.jpg") as soft:
        assert sharp.size == soft.size == (90, 70)  # as it was, without enlargement or lines underneath
        x1, y1, x2, y2 = (round(side) for side in boxes[0])
        assert detail(soft.crop((x1, y1, x2, y2))) < 0.2 * detail(sharp.crop((x1, y1, x2, y2)))
        difference = np.abs(np.asarray(sharp).astype(int) - np.asarray(soft).astype(int)).max(2)
        assert difference[~covered].max(initial=0) < 40  # JPEG alone
    assert "nothing" not in call(*words, "cat", "--class", "dog", "--out", "other").err
    assert set(labels_of(pictures_of(tmp_path / "other")[0])) <= {"dog"}  # what is blurred need not be told


def test_blurring_nothing_that_is_written_is_refused(call, folder, detector):
    line = call("see", "in", "--model", detector, "--blur", "dog", "--no-draw").one_line()
    assert "no pictures are written" in line


def test_table_has_a_row_an_object(call, folder, detector, tmp_path):
    assert call("see", "in", "--model", detector, "--csv", "all.csv", "--no-draw").code == 0
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    objects = [
        (picture, number, item)
        for picture in pictures_of(tmp_path / "seen")
        for number, item in enumerate(picture["objects"], start=1)
    ]
    assert len(rows) == len(objects) > 0
    for row, (picture, number, item) in zip(rows, objects, strict=True):
        assert (row["path"], int(row["object"]), row["label"]) == (picture["path"], number, item["label"])
        assert [int(row["height"]), int(row["width"])] == picture["size"]
        assert [float(row[side]) for side in ("x1", "y1", "x2", "y2")] == item["box"]
        assert float(row["score"]) == item["score"]
    assert (
        "all.csv: exists already" in call("see", "in", "--model", detector, "--csv", "all.csv", "--no-draw").one_line()
    )


def test_table_of_tags_and_to_stdout(call, picture, classifier, tmp_path):
    picture(tmp_path / "a.png")
    result = call("see", "a.png", "--model", classifier, "--json", "-", "--csv", "tags.csv")
    best = json.loads(result.out)["pictures"][0]["tags"][0]
    with (tmp_path / "tags.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["label"], float(row["score"]), row["x1"]) == (best["label"], best["score"], "")


def test_parquet_says_what_csv_says(call, folder, detector, tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for name in ("x.csv", "x.parquet"):
        assert call("see", "in", "--model", detector, "--csv", name, "--no-draw", "--out", f"out-{name}").code == 0
    text, packed = pandas.read_csv(tmp_path / "x.csv"), pandas.read_parquet(tmp_path / "x.parquet")
    assert list(text.columns) == list(packed.columns)
    same = [frame.astype(object).where(frame.notna(), None) for frame in (text, packed)]
    pandas.testing.assert_frame_equal(*same)


def test_parquet_without_pyarrow_is_refused_at_once(call, folder, detector, tmp_path, monkeypatch):
    find = packages.find_spec
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "pyarrow" else find(name))
    line = call("see", "in", "--model", detector, "--csv", "x.parquet").one_line()
    assert install_command("table") in line
    assert not (tmp_path / "seen").exists()


def test_no_table_of_nothing(call, tmp_path, detector):
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert call("see", "a.png", "--model", detector, "--csv", "x.csv").code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_quiet_and_verbose(call, folder, detector, tmp_path):
    (folder / "broken.png").write_bytes(b"no picture")
    quiet = call("see", "in", "--model", detector, "--quiet", "--out", "quiet")
    assert (quiet.code, quiet.out) == (1, "")
    assert "broken.png" in quiet.one_line()
    told = call("see", "in", "--model", detector, "--verbose", "--out", "told", "--runtime", "torch").err
    assert "tiny is computed by torch on cpu" in told
    assert all(f"{name}: " in told for name in ("in/a.png", "in/day 2/deep/c.png"))


@pytest.mark.parametrize("pair", [("--no-draw", "--plain"), ("--resume", "--force"), ("--resume", "--json=-")])
def test_options_that_contradict_each_other(pair, call, folder, detector):
    assert "contradict each other" in call("see", "in", "--model", detector, *pair).one_line()


def test_a_device_that_is_not_there(call, folder, detector):
    line = call("see", "in", "--model", detector, "--device", "warp").one_line()
    assert "--device warp: cannot compute here; there are cpu" in line
    assert call("see", "in", "--model", detector, "--device", "cpu", "--out", "x").code == 0
