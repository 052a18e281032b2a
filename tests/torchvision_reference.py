"""torchvision's detectors as a reference, also where its Python code is there without its compiled operators."""

import sys
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from allsight.ops.nms import nms

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
)
_library: list[torch.library.Library] = []


def detection_models(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return torchvision.models.detection, or skip the test."""
    if find_spec("torchvision") is None:
        pytest.skip("needs torchvision")
    try:
        if not hasattr(torch.ops.torchvision, "nms") and not _loads():
            _register()
            import torchvision.models  # noqa: F401
        if _library:
            monkeypatch.setattr(sys.modules["torchvision.ops.boxes"], "_assert_has_ops", lambda: None)
            pooling: Any = sys.modules["torchvision.ops.roi_align"]
            plain = getattr(pooling._roi_align, "__wrapped__", pooling._roi_align)
            monkeypatch.setattr(pooling, "_roi_align", plain)  # without compiling it first
        from torchvision.models import detection
    except Exception as error:  # broken in one of many ways
        pytest.skip(f"needs torchvision's Python code: {error}")
    return detection


def _loads() -> bool:
    """Import torchvision; where that fails leave nothing of it behind."""
    try:
        import torchvision  # noqa: F401
    except Exception:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        return False
    return True


def _register() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _OPERATORS:
        library.define(schema)
    library.impl("nms", nms, "CompositeExplicitAutograd")
    _library.append(library)
