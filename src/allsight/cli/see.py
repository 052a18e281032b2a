"""`allsight see`: look at pictures."""

import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from tyro.conf import Positional, arg

from allsight.cli.seen import SeenFile, line_of
from allsight.cli.summary import Summary
from allsight.cli.targets import drawn_names, pictures_of, refuse_to_lose, samples
from allsight.cli.terminal import note, only_json, progress, show
from allsight.errors import ModelError, OutputError, PictureError
from allsight.files import atomic, refuse_to_overwrite

# Torch is imported inside the functions: `allsight see --help` must not wait for it.
if TYPE_CHECKING:
    from torch import Tensor

    from allsight.predict.stream import Seen
    from allsight.scene import Scene

TAGS = "tags"  # the model behind --tags
FOLDER = "seen"
QUALITY = 90
LONGEST_JPEG = 65_535


def see(
    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="PATH ...", help_behavior_hint="")] = (),
    *,
    sample: bool = False,
    model: str = "everyday",
    out: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint=f"(default: {FOLDER})")] = None,
    json: Annotated[str | None, arg(metavar="FILE|-", help_behavior_hint="")] = None,
    threshold: Annotated[float | None, arg(metavar="SCORE", help_behavior_hint="")] = None,
    tile: bool = False,
    tags: bool = False,
    abstain: bool = False,
    runtime: Literal["auto", "torch", "onnxruntime", "openvino"] = "auto",
    no_draw: bool = False,
    force: bool = False,
) -> int:
    """Look at pictures: write annotated copies (JPEG) and what was seen (seen.json) into a folder.

    A picture that cannot be read is reported and the others go on. Exit code: 0 all were seen, 1 some failed, 2 none
    could be seen or the call was wrong.

    Args:
        paths: Files, folders (with all below them) and patterns such as "shots/*.png".
        sample: Look at scikit-image's free photographs.
        model: Name of a shipped model (see `allsight models`), or a folder with a model or a training run.
        out: Where the annotated pictures and seen.json go.
        json: Write the JSON there instead. "-" writes it to stdout, and nothing else; then pictures are drawn only if
            --out is given.
        threshold: Show objects from this score on; by default what the model says for each class.
        tile: Look at large pictures tile by tile as well: finds small objects, takes longer.
        tags: Name each picture as a whole by ImageNet's thousand names too, the best with their places: a second
            model, `tags`, looks at it.
        abstain: Show scores that are probabilities, and mark what the model does not vouch for: objects and whole
            pictures unlike those that it learned from, and what is more probably wrong than right. The model must have
            been calibrated (see `allsight calibrate`); --threshold is then one of these scores.
        runtime: What computes: by default the fastest that is installed. The graph that it runs is made once and kept;
            for a few pictures that is not worth while, and torch does it.
        no_draw: Write the JSON only.
        force: Replace files that exist already.

    Returns:
        The exit code.
    """
    if not paths and not sample:
        raise PictureError("nothing to look at: give pictures, folders or patterns, or --sample")
    if threshold is not None and not 0 <= threshold <= 1:
        raise ModelError(f"--threshold {threshold}: is not a score; give a number from 0 to 1")
    if tags and abstain:
        raise ModelError("--tags: nothing is known of the limits of these names; leave --abstain out")
    folder = out or Path(FOLDER)
    pictures = [*(samples() if sample else []), *pictures_of(paths, folder)]
    file = None if json == "-" else Path(json or folder / "seen.json")
    draw = not no_draw and (file is not None or out is not None)
    targets = _targets(pictures, folder if draw else None, file, force)

    with only_json(json == "-") as stdout:
        from allsight.predict import load, stream

        asked: dict[str, Any] = {"threshold": threshold, "runtime": runtime, "abstain": abstain, "shown_only": True}
        predictor = load(model, **asked, pictures=len(pictures), say=note)
        beside = load(TAGS, runtime=runtime, pictures=len(pictures), say=note) if tags and model != TAGS else None
        begun = time.monotonic()
        with SeenFile(file or stdout, predictor.model.name) as sink:
            then, drawn = partial(_told, targets.drawn), bool(targets.drawn)
            several = stream(predictor, pictures, then=then, full_size=drawn, tiled=tile, beside=beside)
            summary = _look(several, len(pictures), sink)
        _show(summary, sink, time.monotonic() - begun, targets)
    return 1 if sink.failed else 0


class _Targets(NamedTuple):
    """What is written where.

    Args:
        folder: of the annotated pictures, None if none are drawn. drawn: from a picture to its annotated copy.
        file: of the JSON, None for stdout.
    """

    folder: Path | None
    drawn: dict[Path, Path]
    file: Path | None


def _targets(pictures: list[Path], folder: Path | None, file: Path | None, force: bool) -> _Targets:
    """Return what is written where; raises an OutputError if something would be lost by it."""
    drawn = dict(zip(pictures, drawn_names(pictures, folder), strict=True)) if folder else {}
    files = [*([file] if file else []), *drawn.values()]
    refuse_to_lose(files, pictures, partial(refuse_to_overwrite, force=force))
    return _Targets(folder, drawn, file)


def _look(several: "Iterable[Seen]", count: int, sink: SeenFile) -> Summary:
    """See all pictures; what was seen goes to `sink` and is forgotten, so that memory stays flat."""
    summary = Summary()
    for seen in progress(several, count, "looking"):
        if isinstance(seen.error, OutputError):
            raise seen.error  # a full disk is no fault of the picture, and will not get better with the next one
        if seen.error is not None or seen.scene is None:
            if count > 1:
                note(f"error: {seen.error}")
            sink.fail(seen.path, str(seen.error))
        else:
            sink.add(seen.result)
            summary.add(seen.path, seen.scene)
    return summary


def _told(drawn: dict[Path, Path], path: Path, picture: "Tensor", scene: "Scene") -> str:
    """Return the JSON of one picture, once its annotated copy is written, if it is to have one."""
    if drawn:
        _draw(drawn, path, picture, scene)
    return line_of(scene)


def _draw(drawn: dict[Path, Path], path: Path, picture: "Tensor", scene: "Scene") -> None:
    """Write the annotated copy of one picture."""
    from PIL import Image

    from allsight.draw import draw

    if max(scene.size) > LONGEST_JPEG:
        raise PictureError(f"{path}: is longer than a JPEG can be ({LONGEST_JPEG:,} pixels); look at it with --no-draw")
    image = Image.fromarray(draw(picture, scene).permute(1, 2, 0).numpy())
    with atomic(drawn[path]) as temporary:
        image.save(temporary, "JPEG", quality=QUALITY)


def _show(summary: Summary, sink: SeenFile, seconds: float, targets: _Targets) -> None:
    """Show what was seen, where everything is and how long it took.

    Raises:
        PictureError: nothing could be seen.
    """
    if not sink.count:
        if len(sink.failed) == 1:
            raise PictureError(sink.failed[0][1])
        raise PictureError(f"none of {len(sink.failed):,} pictures could be seen; the reasons stand above")
    summary.show()
    pictures = f"{sink.count:,} picture{'s' if sink.count != 1 else ''}"
    line = f"{pictures} in {seconds:.1f} s ({sink.count / max(seconds, 1e-9):.0f} a second)"
    places = [f"annotated pictures in {targets.folder}/"] if targets.folder else []
    places += [f"what was seen in {targets.file}"] if targets.file else []
    failed = [f"{len(sink.failed):,} failed, reasons above"] if sink.failed else []
    show("; ".join([line, *failed, *places]))
