"""The commands that `kills.py` kills: what each finds, does, and does when called again, and what is seen then."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from allsight.claims.method.claim import Claim, Comparison
from allsight.claims.method.record import measure
from allsight.cli.main import main
from allsight.data.formats.catalogue import open_dataset, splits, write_datasets
from allsight.data.inputs import PictureInputs
from allsight.data.pictures.dataset import Dataset, Example
from allsight.files import settle
from allsight.hub import Display, Model, load
from allsight.recipes.common.identity import read_recipe
from allsight.scene import Scene, Vocabulary
from allsight.spec import Spec

SIZE = (48, 64)
UNSTEADY = ("duration", "command", "machine")  # on a card: never the same twice


@dataclass(frozen=True)
class Case:
    """A command to be killed, in a folder of its own that is the current one.

    Args:
        name: of the command.
        prepare: makes what it needs, and what stands where it will write.
        run: the command; returns its exit code. again: the call after a kill.
        look: returns what a reader sees in the end, as text; raises if it cannot be read.
        clears: it is asked to remove what stands there before it begins, so that nothing may be there for a while.
    """

    name: str
    prepare: Callable[[Path], None]
    run: Callable[[], int]
    again: Callable[[], int]
    look: Callable[[], str]
    clears: bool = False


def squares(count: int, seed: int, names: tuple[str, ...] = ("dark", "light")) -> Dataset:
    """Return pictures with one square each."""
    random, classes, examples = np.random.default_rng(seed), Vocabulary(names), []
    for i in range(count):
        pixels = torch.from_numpy(random.integers(90, 120, (3, *SIZE), dtype=np.uint8))
        x, y = int(random.integers(0, 40)), int(random.integers(0, 24))
        pixels[:, y : y + 20, x : x + 20] = 255 * (i % 2)
        boxes, labels = torch.tensor([[x, y, x + 20, y + 20]]).float(), torch.tensor([i % 2])
        scene = Scene(SIZE, boxes=boxes, labels=labels, object_classes=classes)
        examples.append(Example(Path(f"{seed}-{i}.png"), scene, pixels=pixels))
    return Dataset(tuple(examples), object_classes=classes, name="squares")


def model(folder: Path, seed: int = 0, names: tuple[str, ...] = ("dark", "light")) -> None:
    """Save a small detector with random weights that sees something nearly everywhere."""
    trunk, classes = Spec("efficientnet_lite0", {"weights": False}), Spec("vocabulary", {"names": list(names)})
    spec = Spec("retinanet_narrow", {"trunk": trunk, "classes": classes, "channels": 16, "depth": 1})
    torch.manual_seed(seed)
    system = spec.build().eval()
    torch.nn.init.zeros_(
        [m.bias for m in system.heads["objects"].classification.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    )
    Model(system, spec, PictureInputs(64), Display({"": 0.3}), card={"title": "Tiny"}).save(folder)


def data(folder: Path, form: str = "voc", seed: int = 0) -> None:
    """Write a data set with train and val."""
    write_datasets({"train": squares(4, seed), "val": squares(2, seed + 1)}, folder, form)


def files(folder: Path, *suffixes: str) -> Iterator[tuple[str, bytes]]:
    """Give the visible files below a folder."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and (not suffixes or path.suffix in suffixes):
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def digest(folder: Path, *suffixes: str) -> str:
    """Return what stands in a folder, once what was begun there is ended."""
    settle(folder)
    return "\n".join(f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in files(folder, *suffixes))


def of_model(folder: str) -> Callable[[], str]:
    """Return what reads a model: all that is the same each time that it is made; nothing, where none stands."""

    def look() -> str:
        places = [Path(folder), Path(folder, "model")]
        for place in places:
            settle(place)
        if not any((place / "config.json").is_file() for place in places):
            return ""
        read = load(folder)
        card = {key: value for key, value in read.card.items() if key not in UNSTEADY}
        weights = hashlib.sha256()
        for name, tensor in read.system.state_dict().items():
            weights.update(name.encode() + tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        knowledge = None if read.knowledge is None else [read.knowledge.data, str(read.knowledge.scores)]
        return json.dumps([read.spec.to_json(), card, weights.hexdigest(), knowledge], sort_keys=True)

    return look


def of_run() -> str:
    """Return what a run came to, and what it says that it is; nothing, as long as it has no model."""
    if not (seen := of_model("run")()):
        return ""
    recipe = read_recipe(Path("run"))
    scores = Path("run/resamples.json")
    return json.dumps([recipe, seen, scores.read_text() if scores.exists() else ""], sort_keys=True)


def of_seen() -> str:
    """Return what `see` wrote; nothing, as long as it is not done. Each picture is whole at any time."""
    for path in Path("out").glob("*.jpg"):
        with Image.open(path) as image:
            image.load()
    return digest(Path("out")) if Path("out/seen.json").exists() else ""


def of_dataset() -> str:
    """Return what is annotated in a data set; nothing, where none stands."""
    if not Path("out").is_dir():
        return ""
    rows = []
    for split in splits("out"):
        for example in open_dataset("out", split):
            pixels = hashlib.sha256(example.picture().numpy().tobytes()).hexdigest()
            boxes = example.annotation.boxes
            rows.append([split, example.path.name, pixels, None if boxes is None else boxes.tolist()])
    return json.dumps([sorted(rows), digest(Path("out"))])


def call(words: str) -> Callable[[], int]:
    return lambda: main(words.split())


def command(name: str, words: str, prepare: Callable[[Path], None], look: Callable[[], str]) -> Case:
    """Return a command that is simply called once more."""
    run = call(words)
    return Case(name, prepare, run, run, look)


def _pictures(home: Path, seed: int = 0) -> None:
    for i, example in enumerate(squares(3, seed)):
        (home / "in").mkdir(exist_ok=True)
        assert example.pixels is not None
        Image.fromarray(example.pixels.permute(1, 2, 0).numpy()).save(home / "in" / f"{i}.png")


def _see(home: Path) -> None:
    model(home / "tiny")
    _pictures(home)


def _evaluate(home: Path) -> None:
    """A report of another model on other data stands there."""
    data(home / "other", seed=7)
    model(home / "tiny", seed=3, names=("dark", "pale"))
    assert main(["eval", str(home / "tiny"), str(home / "other"), "--out", str(home / "report")]) == 0
    model(home / "tiny")
    data(home / "data")


def _calibrate(home: Path) -> None:
    data(home / "data", seed=5)
    model(home / "tiny")
    assert main(["calibrate", "tiny", "data"]) == 0
    shutil.rmtree(home / "data")
    data(home / "data")


def _calibrate_copy(home: Path) -> None:
    """Another model, of other classes, stands where the copy goes."""
    data(home / "data")
    model(home / "tiny")
    model(home / "copy", seed=3, names=("cat", "dog", "cow"))


def _convert(home: Path) -> None:
    data(home / "data")
    data(home / "out", "yolo", seed=5)


def _export(home: Path) -> None:
    model(home / "tiny", seed=1)
    assert call(EXPORT)() == 0
    model(home / "tiny")


def _openvino(home: Path) -> None:
    model(home / "tiny", seed=1)
    assert call(OPENVINO)() == 0
    model(home / "tiny")


EXPORT = "export tiny --format onnx --size 64x64 --out out/graph.onnx --force"
OPENVINO = "export tiny --format openvino --size 64x64 --out out/graph.xml --force"
TRAIN = (
    "train retinanet data --longest 64 --epochs 2 --batch-size 2 --evaluate-every 1 --precision float32 "
    "--checkpoint-seconds 0 --out run"
)
FEW = (
    "train retinanet data --longest 64 --epochs 1 --steps 2 --batch-size 2 --views 2 --precision float32 --frozen "
    "--shots 2 --resamples 2 --checkpoint-seconds 0 --out run"
)


def _train(home: Path) -> None:
    data(home / "data")


def _train_anew(home: Path) -> None:
    """A whole run with other settings stands there."""
    data(home / "data")
    assert call(f"{TRAIN} --learning-rate 0.01")() == 0


def _on(words: str) -> Callable[[], int]:
    """Go on with a run that was killed; where it says that it is another one, begin anew."""

    def again() -> int:
        code = call(f"{words} --resume")()
        return call(f"{words} --force")() if code == 2 else code

    return again


def _claim() -> int:
    arms: dict[str, Any] = {"better": lambda run: 0.8 + run.seed / 100, "worse": lambda run: 0.5 - run.seed / 100}
    claim = Claim("One is better.", "nowhere", "", "score", arms, (Comparison("better", "worse"),))
    record = measure("made", claim, data=Path(), scratch=Path("scratch"), results=Path("results"))
    record.pop("seconds")
    return 0


def _of_claim() -> str:
    path = Path("results/made.json")
    record = json.loads(path.read_text()) if path.exists() else {}
    whole = {key: value for key, value in record.items() if key != "seconds"}
    return json.dumps(whole) if "outcome" in whole else ""  # a part of it is a whole record of less


_ALL = [
    command("see", "see in --model tiny --runtime torch --out out --force", _see, of_seen),
    command("eval", "eval tiny data --out report --force", _evaluate, lambda: digest(Path("report"))),
    command("calibrate", "calibrate tiny data --force", _calibrate, of_model("tiny")),
    command("calibrate --out", "calibrate tiny data --out copy --force", _calibrate_copy, of_model("copy")),
    command("convert", "convert data out --to coco --force", _convert, of_dataset),
    command("split", "split data --out out --fractions a=0.5 b=0.5 --force", _convert, of_dataset),
    Case("export onnx", _export, call(EXPORT), call(EXPORT), lambda: digest(Path("out"))),
    Case("export openvino", _openvino, call(OPENVINO), call(OPENVINO), lambda: digest(Path("out"), ".xml", ".bin")),
    Case("train", _train, call(TRAIN), _on(TRAIN), of_run),
    Case("train --force", _train_anew, call(f"{TRAIN} --force"), _on(TRAIN), of_run, clears=True),
    Case("train --resamples", _train, call(FEW), _on(FEW), of_run),
    Case("claims", lambda home: None, _claim, _claim, _of_claim),
]
CASES = {case.name: case for case in _ALL}
