import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from allsight.cli.targets import drawn_names, samples
from allsight.machine.packages import install_command
from allsight.scene import Scene

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "json.md"


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_folder_gives_drawn_pictures_and_one_json(call, picture, detector, tmp_path):
    for i in range(3):
        picture(tmp_path / "in" / f"{i}.png", seed=i)
    result = call("see", "in", "--model", detector)
    assert result.code == 0
    assert sorted(p.name for p in (tmp_path / "seen").iterdir()) == ["0.jpg", "1.jpg", "2.jpg", "seen.json"]
    document = read(tmp_path / "seen" / "seen.json")
    assert [Path(p["path"]).name for p in document["pictures"]] == ["0.png", "1.png", "2.png"]
    assert document["failed"] == []
    with Image.open(tmp_path / "seen" / "0.jpg") as image:
        assert image.format == "JPEG"
        image.load()
    assert "3 pictures in" in result.out
    assert "seen.json" in result.out


def test_json_says_what_python_says(call, picture, detector, tmp_path):
    from allsight import load

    path = picture(tmp_path / "a.png")
    assert call("see", path, "--model", detector).code == 0
    written = Scene.from_json(read(tmp_path / "seen" / "seen.json")["pictures"][0])
    scene = load(detector)(path)
    assert len(scene) > 0
    assert written.names() == scene.names()
    torch.testing.assert_close(written.boxes, scene.boxes, atol=0.01, rtol=0)
    torch.testing.assert_close(written.scores, scene.scores, atol=1e-4, rtol=0)


def test_stdout_is_json_and_nothing_else(process, picture, detector, tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.png")
    result = process("see", "a.png", "b.png", "missing.png", "--model", detector, "--json", "-")
    assert result.code == 1
    document = json.loads(result.out)
    assert [p["path"] for p in document["pictures"]] == ["a.png", "b.png"]
    assert [f["path"] for f in document["failed"]] == ["missing.png"]
    assert "missing.png: does not exist" in result.err
    assert not (tmp_path / "seen").exists()  # pictures are drawn only where --out says so


def test_stdout_json_with_out_draws(call, picture, detector, tmp_path):
    picture(tmp_path / "a.png")
    result = call("see", "a.png", "--model", detector, "--json", "-", "--out", "drawn")
    assert json.loads(result.out)["pictures"]
    assert [p.name for p in (tmp_path / "drawn").iterdir()] == ["a.jpg"]


def test_json_to_a_file_and_no_drawing(call, picture, detector, tmp_path):
    picture(tmp_path / "a.png")
    assert call("see", "a.png", "--model", detector, "--json", "out/x.json", "--no-draw").code == 0
    assert read(tmp_path / "out" / "x.json")["pictures"]
    assert not (tmp_path / "seen").exists()


def test_nothing_is_overwritten_without_force(call, picture, detector, tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "seen").mkdir()
    old = tmp_path / "seen" / "a.jpg"
    old.write_text("mine")
    result = call("see", "a.png", "--model", detector, "--out", "seen")
    assert result.code == 2
    assert "seen/a.jpg: exists already" in result.one_line()
    assert old.read_text() == "mine"
    assert not (tmp_path / "seen" / "seen.json").exists()
    assert call("see", "a.png", "--model", detector, "--force").code == 0
    assert old.read_bytes()[:2] == b"\xff\xd8"


def test_not_even_force_replaces_an_original(call, picture, detector, tmp_path):
    path = picture(tmp_path / "a.jpg")
    before = path.read_bytes()
    result = call("see", "a.jpg", "--model", detector, "--out", ".", "--force")
    assert result.code == 2
    assert "is one of the pictures to look at" in result.one_line()
    assert path.read_bytes() == before


def test_drawn_pictures_are_not_looked_at_again(call, picture, detector, tmp_path):
    picture(tmp_path / "a.png")
    assert call("see", ".", "--model", detector).code == 0
    assert call("see", ".", "--model", detector, "--force").code == 0
    assert len(read(tmp_path / "seen" / "seen.json")["pictures"]) == 1
    assert call("see", "seen", "--model", detector, "--out", "again").code == 0
    assert len(read(tmp_path / "again" / "seen.json")["pictures"]) == 1


def test_names_with_spaces_and_other_letters(call, picture, detector, tmp_path):
    name = "Zürich, 東京 & co. 'x' [1]"
    picture(tmp_path / "ein ordner" / f"{name}.png")
    assert call("see", "ein ordner", "--model", detector).code == 0
    assert (tmp_path / "seen" / f"{name}.jpg").is_file()
    text = (tmp_path / "seen" / "seen.json").read_text(encoding="utf-8")
    assert name in text
    assert call("see", f"ein ordner/{name}.png", "--model", detector, "--force").code == 0


def test_names_that_are_no_utf8(call, picture, detector, tmp_path):
    good = picture(tmp_path / "good.png")
    odd = tmp_path / "b\udcffd.png"
    try:
        shutil.copy(good, odd)
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system has only UTF-8 names")
    result = call("see", odd, "--model", detector)
    assert result.code == 0
    assert read(tmp_path / "seen" / "seen.json")["pictures"][0]["path"] == str(odd)


def test_glob_and_duplicates(call, picture, detector, tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.png")
    picture(tmp_path / "c.jpg")
    assert call("see", "*.png", "a.png", "./a.png", tmp_path / "a.png", "--model", detector).code == 0
    assert len(read(tmp_path / "seen" / "seen.json")["pictures"]) == 2


def test_threshold(call, picture, detector, tmp_path):
    picture(tmp_path / "a.png")
    for threshold, out in ((0.1, "many"), (0.999, "none")):
        assert call("see", "a.png", "--model", detector, "--threshold", threshold, "--out", out).code == 0
    many, none = (read(tmp_path / out / "seen.json")["pictures"][0]["objects"] for out in ("many", "none"))
    assert len(many) > len(none) == 0
    assert "0 to 1" in call("see", "a.png", "--model", detector, "--threshold", "7").one_line()


def test_tiles(call, picture, detector, tmp_path):
    picture(tmp_path / "a.png", (200, 150))
    assert call("see", "a.png", "--model", detector, "--tile").code == 0
    for item in read(tmp_path / "seen" / "seen.json")["pictures"][0]["objects"]:
        x1, y1, x2, y2 = item["box"]
        assert 0 <= x1 <= x2 <= 200
        assert 0 <= y1 <= y2 <= 150


def test_one_pixel(call, picture, detector, tmp_path):
    picture(tmp_path / "a.png", (1, 1))
    assert call("see", "a.png", "--model", detector, "--tile").code == 0
    assert read(tmp_path / "seen" / "seen.json")["pictures"][0]["size"] == [1, 1]


def test_classifier_tells_tags(call, picture, classifier, tmp_path):
    picture(tmp_path / "a.png")
    result = call("see", "a.png", "--model", classifier)
    assert result.code == 0
    seen = read(tmp_path / "seen" / "seen.json")["pictures"][0]
    assert "objects" not in seen
    assert seen["tags"][0]["label"] in result.out


def test_tags_are_those_of_a_second_model(call, picture, detector, tmp_path):
    """With --tags there is what the model says and, as the model `tags` alone says them, names and their places."""
    picture(tmp_path / "a.png", (200, 150))
    documents = []
    for words in (["--model", detector], ["--model", "tags"], ["--model", detector, "--tags"]):
        assert call("see", "a.png", *words, "--no-draw", "--json", "s.json", "--force").code == 0
        documents.append(read(tmp_path / "s.json")["pictures"][0])
    plain, tagged, both = documents
    assert both["tags"] == tagged["tags"]
    drawn_by_a_person = [{**item, "located": "box"} for item in plain["objects"]]
    assert both["objects"] == [*drawn_by_a_person, *tagged.get("objects", [])]
    assert "tags" not in plain


def test_tags_are_not_calibrated(call, picture, detector, tmp_path):
    picture(tmp_path / "a.png")
    assert "--tags" in call("see", "a.png", "--model", detector, "--tags", "--abstain").one_line()


def test_many_pictures_are_counted_by_class(call, picture, detector, tmp_path):
    for i in range(25):
        picture(tmp_path / "in" / f"{i}.png", (20, 20), seed=i)
    result = call("see", "in", "--model", detector, "--no-draw", "--threshold", "0.2")
    assert "objects" in result.out
    assert "25 pictures in" in result.out
    assert "13.png" not in result.out


def test_sample_looks_at_the_photographs_of_scikit_image(call, detector, tmp_path):
    pytest.importorskip("skimage")
    assert call("see", "--sample", "--model", detector).code == 0
    assert {p.stem for p in (tmp_path / "seen").glob("*.jpg")} == {p.stem for p in samples()}
    assert len(samples()) == 5


def test_sample_without_scikit_image_says_what_to_install(call, monkeypatch):
    monkeypatch.setattr("allsight.cli.targets.find_spec", lambda name: None)
    result = call("see", "--sample")
    assert result.code == 2
    assert f"run: {install_command('sample')}" in result.one_line()


def test_nothing_to_look_at(call):
    result = call("see")
    assert result.code == 2
    assert "--sample" in result.one_line()


def test_longer_than_a_jpeg(call, picture, detector, tmp_path):
    picture(tmp_path / "a.png", (70_000, 2))
    result = call("see", "a.png", "--model", detector)
    assert result.code == 2
    assert "--no-draw" in result.one_line()
    assert call("see", "a.png", "--model", detector, "--no-draw").code == 0


@pytest.mark.parametrize(
    ("pictures", "names"),
    [
        (["x/a.png", "x/b.jpg"], ["a.jpg", "b.jpg"]),
        (["x/a.png", "y/a.png"], ["x/a.jpg", "y/a.jpg"]),
        (["x/a.png", "x/z/a.png", "x/z/b.png"], ["a.jpg", "z/a.jpg", "z/b.jpg"]),
        (["x/a.png", "x/a.jpg"], ["a.png.jpg", "a.jpg.jpg"]),
        (["x/a.png", "x/a.jpg", "x/b.jpg"], ["a.png.jpg", "a.jpg.jpg", "b.jpg"]),
        (["x/a.png", "x/a.jpg", "x/a.png.gif"], ["a.png.jpg", "a.jpg.jpg", "a.png.gif.jpg"]),
        (["x/a.png", "y/a.jpg", "y/a.png"], ["x/a.jpg", "y/a.jpg.jpg", "y/a.png.jpg"]),
        (["x/A.png", "y/a.png"], ["x/A.jpg", "y/a.jpg"]),
        ([], []),
    ],
)
def test_where_drawn_pictures_go(pictures, names):
    assert drawn_names([Path(p) for p in pictures], Path("out")) == [Path("out", n) for n in names]


def test_output_follows_the_documented_schema(call, picture, detector, classifier, tmp_path):
    blocks = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    example, schema = (json.loads(block) for block in blocks)
    follow(schema, example, schema)
    picture(tmp_path / "a.png")
    for model in (detector, classifier):
        out = f"out-{model.name}"
        assert call("see", "a.png", "nowhere.png", "--model", model, "--out", out).code == 1
        document = read(tmp_path / out / "seen.json")
        assert len(document["failed"]) == len(document["pictures"]) == 1
        follow(schema, document, schema)
    for broken in ({"version": 2}, {"pictures": [{"path": "x"}]}, {"failed": None}):
        with pytest.raises(AssertionError):
            follow(schema, {**document, **broken}, schema)


def test_schema_covers_all_that_a_scene_says():
    schema = json.loads(re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[1])
    from allsight.scene import Masks, Trust, Vocabulary

    scene = Scene(
        (4, 5),
        trust=Trust(True, 0.5, torch.tensor([False]), torch.tensor([1.25])),
        boxes=torch.tensor([[0.0, 1, 2, 3]]),
        labels=torch.tensor([0]),
        scores=torch.tensor([0.5]),
        weak=torch.tensor([True]),
        tracks=torch.tensor([7]),
        keypoints=torch.tensor([[[1.0, 2, 2]]]),
        masks=Masks.from_dense(torch.ones(1, 4, 5, dtype=torch.bool)),
        regions=torch.tensor([[0, 255]]).repeat_interleave(2, 0).repeat(2, 3)[:4, :5],
        tags=torch.tensor([0.9]),
        captions=("a thing",),
        embedding=torch.tensor([1.0]),
        object_classes=Vocabulary(("thing",)),
        region_classes=Vocabulary(("sky",)),
        tag_classes=Vocabulary(("t",)),
        source="x.png",
    )
    value = json.loads(json.dumps(scene.to_json()))
    picture = schema["$defs"]["picture"]
    follow(picture, value, schema)
    assert set(value) <= set(picture["properties"])
    assert set(value["objects"][0]) <= set(schema["$defs"]["object"]["properties"])


TYPES = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "null": type(None),
    "boolean": bool,
}  # fmt: skip


def follow(schema: dict, value: object, root: dict) -> None:
    """Assert that a value follows a JSON Schema, as far as the words that docs/json.md uses go."""
    known = {"$schema", "$defs", "$ref", "title", "type", "required", "properties", "items", "const", "enum"}
    assert set(schema) <= known | {"minimum", "maximum", "minItems", "maxItems"}
    if "$ref" in schema:
        return follow(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, root)
    if "const" in schema:
        assert value == schema["const"]
    if "enum" in schema:
        assert value in schema["enum"]
    if "type" in schema:
        kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        assert any(isinstance(value, TYPES[kind]) for kind in kinds), (value, kinds)
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= set(value)
        for key, item in value.items():
            if key in schema.get("properties", {}):
                follow(schema["properties"][key], item, root)
    if isinstance(value, list):
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        for item in value:
            follow(schema.get("items", {}), item, root)
    if isinstance(value, int | float):
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value)
    return None
