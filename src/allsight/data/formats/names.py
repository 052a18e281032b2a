"""Names of classes that a form of annotation cannot hold are refused before anything is written."""

import os
from collections.abc import Callable, Iterable

from allsight.data.formats.parsing import is_text
from allsight.data.pictures.dataset import Dataset
from allsight.errors import AnnotationError
from allsight.text import is_hidden, visible

_LONGEST = 255  # bytes of a file's name on most disks


def refuse_names(datasets: Iterable[Dataset], form: str) -> None:
    """Raise an AnnotationError if a form cannot hold the name of a class so that it is read back.

    Args:
        datasets: what is to be written. form: the name of the form.
    """
    fault = _FAULTS.get(form, _of_text)
    for dataset in datasets:
        for classes in (dataset.object_classes, dataset.tag_classes, dataset.region_classes):
            for name in classes or ():
                if reason := fault(name) or ("" if is_text(name) else "has a character that is not seen"):
                    raise AnnotationError(
                        f"{dataset.name}: the class {visible(name)!r} {reason}, which {form} cannot hold; "
                        "rename it or choose another form"
                    )


def _of_text(name: str) -> str:
    """No encoding has halves of characters."""
    return "has half a character" if any("\ud800" <= each <= "\udfff" for each in name) else ""


def _of_line(name: str) -> str:
    """A line of text, or of XML, is read without the white space around it, and ends at more than line feeds."""
    if not name or name != name.strip():
        return "begins or ends with white space" if name else "has no letters"
    if any(is_hidden(each) or each in "\ufffe\uffff" for each in name):
        return "has a character that is not seen"
    return _of_text(name)


def _of_folder(name: str) -> str:
    if not name or name.startswith(".") or any(each in name for each in "/\\\0"):
        return "is not the name of a folder"
    if _of_text(name):
        return _of_text(name)
    return "is too long for the name of a folder" if len(os.fsencode(name)) > _LONGEST else ""


def _of_array(name: str) -> str:
    return "ends with a zero" if name.endswith("\0") else _of_text(name)


_FAULTS: dict[str, Callable[[str], str]] = {
    "voc": _of_line,
    "instances": _of_line,
    "folders": _of_folder,
    "arrays": _of_array,
}
