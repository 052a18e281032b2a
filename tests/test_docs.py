"""What the documentation shows is true: commands are run on made data, and Python blocks with them."""

import gzip
import pkgutil
import re
import shlex
import sys
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import tyro
from PIL import Image

from allsight.cli import main as cli
from allsight.data.formats.catalogue import write_datasets
from allsight.data.pictures.dataset import Dataset, Example
from allsight.files import write_json
from allsight.scene import Masks, Scene, Vocabulary
from allsight.systems import INPUTS, SYSTEMS
from allsight.weights.find import available

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(page for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md") if (page := ROOT / name).exists()),
    *(page for page in sorted(DOCS.rglob("*.md")) if "_build" not in page.parts),
]
SHELL, PYTHON, NOT_RUN = {"sh", "console"}, {"python"}, {"text", "json"}
# Appended to what the documentation says, so that a training takes seconds.
SMALL = {
    "retinanet": ["--epochs", "1", "--longest", "96", "--batch-size", "4", "--steps", "3"],
    "nanodet": ["--epochs", "1", "--longest", "96", "--batch-size", "4"],
    "faster_rcnn": ["--epochs", "1", "--longest", "96", "--batch-size", "4"],
    "mask_rcnn": ["--epochs", "1", "--longest", "96", "--batch-size", "4"],
    "watershed": ["--epochs", "1", "--longest", "96", "--batch-size", "4"],
    "windows": ["--epochs", "2", "--longest", "96", "--batch-size", "4"],
    "digits": ["--epochs", "1"],
    "segmenter": ["--epochs", "1", "--lovasz-epochs", "1", "--longest", "96", "--batch-size", "4"],
    "everyday": ["--epochs", "1", "--longest", "96", "--batch-size", "4"],
    "classifier": [
        "--frozen-epochs",
        "1",
        "--tuned-epochs",
        "1",
        "--longest",
        "96",
        "--batch-size",
        "4",
        "--steps",
        "3",
    ],
}
OTHER_PROGRAMS = {"source", "pip", "pytest", "git", "cd", "sphinx-build", "ruff", "mypy", "lint-imports", ".ci/run"}


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Give language and text of every fenced block that is no directive."""
    for language, text in re.findall(r"^```(\S*)[^\n]*\n(.*?)^```\s*$", page.read_text("utf-8"), re.M | re.S):
        if not language.startswith("{"):
            yield language, text


def commands(text: str) -> Iterator[list[str]]:
    """Give the words of every command of a shell block."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in line.removeprefix("$ ").split("&&"):
            if words := shlex.split(part, comments=True):
                yield words


def shown() -> list[Any]:
    """Every command that any page shows."""
    return [
        pytest.param(words, id=f"{page.stem}: {shlex.join(words)}")
        for page in PAGES
        for language, text in blocks(page)
        if language in SHELL
        for words in commands(text)
    ]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_what_it_is(page: Path) -> None:
    unknown = {language for language, _ in blocks(page)} - SHELL - PYTHON - NOT_RUN
    assert not unknown, f"blocks of {unknown} are not checked by anything"


@pytest.mark.parametrize("words", shown())
def test_command_line_is_valid(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if "allsight" in words and words[0] != "pip":
        if "--help" in words:
            return
        parse = tyro.cli

        def only_parsed(function: Any, **options: Any) -> Any:
            return parse(wraps(function)(lambda *args, **kwargs: 0), **options)

        monkeypatch.setattr(tyro, "cli", only_parsed)
        assert cli.main(words[words.index("allsight") + 1 :]) == 0
    elif words[0] in ("python", "python3"):
        assert words[1] == "-m" or (ROOT / words[1]).is_file()
    else:
        assert words[0] in OTHER_PROGRAMS


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: pictures lie in it, and beside it the data sets that the pages name, small and made."""
    here, data = tmp_path / "here", tmp_path / "shared" / "data"
    for folder, name in (("holidays", "a.jpg"), ("holidays", "b.jpg"), ("shots", "c.png"), (".", "photo.jpg")):
        (here / folder).mkdir(parents=True, exist_ok=True)
        Image.effect_noise((96, 64), 90).convert("RGB").save(here / folder / name)
    made = {"train": cells(12), "val": cells(4)}
    write_datasets(made, data / "bccd", "voc")
    write_datasets({"train": streets(8), "val": streets(4)}, data / "camvid", "regions")
    for name in ("cup", "pizza"):
        folder = data / "caltech7" / name
        folder.mkdir(parents=True)
        for i in range(8):
            Image.effect_noise((48, 48), 90).convert("RGB").save(folder / f"{i}.jpg")
    write_datasets({"": nuclei(12)}, data / "nuclei", "instances")
    digits(data / "mnist")
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(here)
    return here


def digits(folder: Path) -> None:
    """Write a few pictures of noise in MNIST's form."""
    folder.mkdir(parents=True)
    for split, count in (("train", 40), ("t10k", 10)):
        for name, shape in (("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))):
            numbers = torch.randint(0, 10, shape, dtype=torch.uint8).numpy().tobytes()
            head = bytes((0, 0, 8, len(shape))) + b"".join(side.to_bytes(4, "big") for side in shape)
            (folder / f"{split}-{name}-ubyte.gz").write_bytes(gzip.compress(head + numbers))


def cells(count: int) -> Dataset:
    """Made pictures with one bright square each, in the classes of the blood cells."""
    classes = Vocabulary(("RBC", "WBC", "Platelets"))
    random = torch.Generator().manual_seed(count)
    examples = []
    for i in range(count):
        x, y = torch.randint(0, 60, (2,), generator=random).tolist()
        pixels = torch.randint(0, 90, (3, 96, 96), generator=random, dtype=torch.uint8)
        pixels[i % 3, y : y + 32, x : x + 32] = 255
        boxes, labels = torch.tensor([[x, y, x + 32, y + 32]]).float(), torch.tensor([i % 3])
        scene = Scene((96, 96), boxes=boxes, labels=labels, object_classes=classes)
        examples.append(Example(Path(f"{count}-{i}.jpg"), scene, pixels=pixels))
    return Dataset(tuple(examples), object_classes=classes)


def nuclei(count: int) -> Dataset:
    """Made pictures with two discs each, light on dark or the other way round."""
    classes = Vocabulary(("nuclei",))
    y, x = torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")
    examples = []
    for i in range(count):
        dense = torch.stack([(x - a) ** 2 + (y - b) ** 2 < 144 for a, b in ((20 + 2 * i, 30), (60, 70))])
        grey = torch.randint(0, 60, (96, 96)) + 150 * dense.any(0)
        pixels = (grey if i % 2 else 250 - grey).to(torch.uint8).expand(3, -1, -1)
        masks = Masks.from_dense(dense)
        scene = Scene((96, 96), masks.boxes(), torch.zeros(2, dtype=torch.int64), masks=masks, object_classes=classes)
        examples.append(Example(Path(f"{i}.png"), scene, pixels=pixels))
    return Dataset(tuple(examples), object_classes=classes, name="nuclei")


def streets(count: int) -> Dataset:
    """Made pictures of two drives with a light road under a dark sky."""
    classes = Vocabulary(("sky", "road"))
    examples = []
    for i in range(count):
        regions = (torch.arange(72) > 24 + i)[:, None].expand(72, 96).long()
        pixels = (torch.randint(0, 60, (3, 72, 96)) + 180 * regions).to(torch.uint8)
        scene = Scene((72, 96), regions=regions, region_classes=classes)
        examples.append(Example(Path(f"{('0001TP', '0006R0')[i % 2]}_{count}{i}.png"), scene, pixels=pixels))
    return Dataset(tuple(examples), region_classes=classes)


def obstacle(text: str) -> str | None:
    """Say what of a command or a Python block is not at hand; models are shipped later than they are described."""
    if re.search(r"allsight (claims|bench)", text) and "--recorded" not in text:
        return "claims and benchmarks take minutes to hours"
    for path in re.findall(r"\.\./shared/data/\w+", text):
        if not Path(path).exists():
            return f"{path} has no made twin"
    named = re.findall(r"--model (\S+)|allsight eval (\S+)|load\(\"([^\"]+)\"\)", text)
    made = re.findall(r"(?:out=|Path\(|save\()\"(runs/\w+)", text)  # by the block itself
    models = {name for names in named for name in names if name and name not in made}
    if re.search(r"allsight see", text) and "--model" not in text and "--help" not in text:
        models.add("everyday")
    missing = [name for name in models if name not in available() and not Path(name).exists()]
    return f"{missing[0]} is not shipped yet" if missing else None


def run_command(words: list[str]) -> None:
    """Run one command of a page, in small."""
    if words[0] != "allsight" or obstacle(" ".join(words)):
        return
    if words[1] == "train" and len(words) > 2 and words[2] in SMALL and "--help" not in words:
        words = words + SMALL[words[2]]
    assert cli.main(words[1:]) == 0, shlex.join(words)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page_does_what_it_says(page: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(language, text) for language, text in blocks(page) if language in SHELL | PYTHON]
    if not found:
        return
    request.getfixturevalue("workplace")
    for table in (SYSTEMS, INPUTS):  # a page may add lines of its own, which name objects of the module "page"
        request.addfinalizer(lambda table=table, before=dict(table): (table.clear(), table.update(before)))
    monkeypatch.setitem(sys.modules, "page", module := ModuleType("page"))
    names = vars(module)
    for language, text in found:
        if language in SHELL:
            for words in commands(text):
                run_command(words)
        else:
            program = compile(text, name_of(page), "exec")
            if obstacle(text) is None:
                exec(program, names)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_objects_that_a_page_names_exist(page: Path) -> None:
    for name in set(re.findall(r"(?:`|:: |~)(allsight(?:\.\w+)+)", page.read_text("utf-8"))):
        pkgutil.resolve_name(name)


def test_pictures_are_small_and_shown() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    for picture in (DOCS / "pictures").iterdir():
        assert picture.stat().st_size < 150_000, picture
        assert f"pictures/{picture.name}" in text, f"{picture} is shown nowhere"


def test_docstrings_are_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS / "_extensions")
    from docstrings import escaped

    assert escaped("`a * b` by **options | left_* of c_") == r"``a * b`` by \*\*options \| left\_\* of c\_"


def test_tables_follow_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS / "_extensions")
    import model_tables
    import record_tables
    from sphinx.application import Sphinx

    card = {"task": "objects: RBC", "scores": {"AP50": 0.8812}, "licence": "MIT", "command": "allsight train --x"}
    config = {"card": card, "preprocessing": {"longest": 384}}
    write_json(tmp_path / "weights" / "made" / "config.json", config)
    rows = [{"boxes": 4000, "seconds": {"ours": 0.25, "theirs": 1234.5}}]
    write_json(tmp_path / "results" / "toy.json", {"machine": {"cpu": "Z80"}, "rows": rows})
    line = {"what": "7 sheep", "ours": "1 s", "peer": "dog 8 s", "ratio": 8.04}
    record = {"benchmark": "nms", "machine": {"cpu": "6502"}, "headline": [line], "rows": rows}
    write_json(tmp_path / "results" / "nms.json", record)
    monkeypatch.setattr(model_tables, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setattr(record_tables, "RESULTS", tmp_path / "results")
    asked = ("model-card} made", "model-card} absent", "model-table}", "benchmark-table} toy", "benchmark-table} none")
    asked += ("recipe-settings} classifier", "trunk-table}", "bench-summary}")
    (tmp_path / "index.md").write_text("# Tables\n\n" + "\n\n".join(f"```{{{name}\n```" for name in asked), "utf-8")
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser", "model_tables", "record_tables"]\n')
    here, out = str(tmp_path), str(tmp_path / "out")
    Sphinx(here, here, out, out, "xml", status=None, warningiserror=True).build()
    text = " ".join(re.sub(r"<[^>]*>", " ", (tmp_path / "out" / "index.xml").read_text("utf-8")).split())
    for told in ("0.881", "allsight train --x", "absent is not shipped yet", "MIT", "ours seconds", "1,234", "cpu Z80"):
        assert told in text, told
    assert "python benchmarks/none.py" in text
    for told in ("nms 7 sheep 1 s dog 8 s 8.04", "nms: cpu 6502", "Not measured yet: trunk, see, roi_align"):
        assert told in text, told
    assert "--frozen-epochs" in text and "while only the last layer learns" in text
    assert "resnet152" in text and "60.2" in text and "2048 / 32" in text
