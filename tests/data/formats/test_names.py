"""Any class name is written so that it is read back, or refused before anything is written."""

from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from allsight.data.formats.catalogue import FORMATS, open_dataset, write_datasets
from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import AnnotationError
from allsight.scene import Masks, Scene, Vocabulary

SIZE = (12, 16)


def one_of(name: str, other: str, form: str) -> Dataset:
    """Two pictures, of one class each, with whatever a form may want to know."""
    names = Vocabulary((name,) if form == "instances" else (name, other))
    examples = []
    for i in range(2):
        label = min(i, len(names) - 1)
        mask = torch.zeros((1, *SIZE), dtype=torch.bool)
        mask[0, 2:9, 3:9] = True
        pixels = torch.full((3, *SIZE), 40 * i, dtype=torch.uint8)
        if form in ("folders", "arrays"):
            scene = Scene(SIZE, tags=torch.eye(len(names))[label], tag_classes=names)
        elif form == "regions":
            scene = Scene(SIZE, regions=torch.full(SIZE, label), region_classes=names)
        else:
            boxes = torch.tensor([[3.0, 2.0, 9.0, 9.0]])
            scene = Scene(SIZE, boxes=boxes, labels=torch.tensor([label]), object_classes=names)
            if form == "instances":
                scene = scene.with_(masks=Masks.from_dense(mask))
        examples.append(Example(Path(f"{i}.png"), scene, pixels=pixels))
    kind = {"folders": "tag_classes", "arrays": "tag_classes", "regions": "region_classes"}.get(form, "object_classes")
    return Dataset(tuple(examples), **{kind: names}, name="named", split="train")


def classes_of(dataset: Dataset) -> list[str]:
    return list(dataset.object_classes or dataset.tag_classes or dataset.region_classes or ())


@pytest.mark.parametrize("form", [name for name, form in FORMATS.items() if form.write is not None])
@given(name=st.text(st.characters(codec=None), min_size=1, max_size=8))
@example(name="<a & b>")
@example(name="\x1b[31mred")
@example(name="a\nb")
@example(name="007")
@example(name="yes")
@example(name=" cat ")
@example(name="\ud800")
@example(name="x" * 300)
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read_back(tmp_path_factory, form, name):
    root = tmp_path_factory.mktemp("named") / "set"
    try:
        dataset = one_of(name, "zz other", form)
    except AnnotationError:
        return  # no vocabulary has it
    try:
        write_datasets({"train": dataset}, root, form)
    except AnnotationError:
        assert not root.exists()
        return
    again = open_dataset(root, "train")
    assert sorted(classes_of(again)) == sorted(classes_of(dataset))
    assert len(again) == 2
