"""`allsight see`: look at pictures."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from allsight.cli.seen import Said, SeenFile, describe
from allsight.cli.targets import drawn_names, pictures_of, refuse_to_lose, samples
from allsight.cli.terminal import note, only_json, progress, show
from allsight.errors import ModelError, OutputError, PictureError
from allsight.files import refuse_to_overwrite

# Torch is imported inside the functions: `allsight see --help` must not wait for it.
if TYPE_CHECKING:
    from torch import Tensor

    from allsight.predict import Predictor
    from allsight.scene import Scene

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
        json: Write the JSON there instead; "-" writes it to stdout, and nothing else, and then pictures are drawn only
            if --out is given.
        threshold: Show objects from this score on; by default what the model says for each class.
        tile: Look at large pictures tile by tile as well: finds small objects, takes longer.
        no_draw: Write the JSON only.
        force: Replace files that exist already.

    Returns:
        The exit code.
    """
    if not paths and not sample:
        raise PictureError("nothing to look at: give pictures, folders or patterns, or --sample")
    if threshold is not None and not 0 <= threshold <= 1:
        raise ModelError(f"--threshold {threshold}: is not a score; give a number from 0 to 1")
    draw = not no_draw and (json != "-" or out is not None)
    folder = out or Path(FOLDER)
    pictures = [*(samples() if sample else []), *pictures_of(paths, folder)]
    drawn = drawn_names(pictures, folder) if draw else []
    file = None if json == "-" else Path(json or folder / "seen.json")
    targets = [*([file] if file else []), *drawn]
    refuse_to_lose(targets, pictures, partial(refuse_to_overwrite, force=force))

    with only_json(json == "-") as stdout:
        from allsight.predict import load

        begun = time.monotonic()
        predictor = load(model, threshold=threshold)
        sink = SeenFile(predictor.model.name, file or stdout)
        said = _look(predictor, pictures, dict(zip(pictures, drawn, strict=False)), tile, sink)
        _summarise(said, time.monotonic() - begun, [folder] if draw else [], file)
    return said.exit_code


def _look(
    predictor: "Predictor", pictures: list[Path], drawn: dict[Path, Path], tile: bool, sink: SeenFile
) -> Said:
    """See all pictures; what was seen goes to `sink` and is forgotten, so that memory stays flat."""
    from allsight.predict import stream

    said = Said()
    then = partial(_draw, drawn) if drawn else None
    with ExitStack() as stack:
        for seen in progress(stream(predictor, pictures, then=then, tiled=tile), len(pictures), "looking"):
            if isinstance(seen.error, OutputError):
                raise seen.error  # a full disk is no fault of the picture, and will not get better with the next one
            if seen.error is not None:
                note(f"error: {seen.error}")
                said.failed.append((str(seen.path), str(seen.error)))
                continue
            assert seen.scene is not None
            if not said.count:  # not before: a run that sees nothing leaves nothing behind
                stack.enter_context(sink)
            sink.add(seen.scene)
            said.add(seen.path, seen.scene)
        if said.count or sink.to_stdout:
            sink.close(said.failed)
    return said


def _draw(drawn: dict[Path, Path], path: Path, picture: "Tensor", scene: "Scene") -> None:
    """Write the annotated copy of one picture."""
    from PIL import Image

    from allsight.draw import draw
    from allsight.files import atomic

    if max(scene.size) > LONGEST_JPEG:
        raise PictureError(f"{path}: is longer than a JPEG can be ({LONGEST_JPEG:,} pixels); look at it with --no-draw")
    image = Image.fromarray(draw(picture, scene).permute(1, 2, 0).numpy())
    with atomic(drawn[path]) as temporary:
        image.save(temporary, "JPEG", quality=QUALITY)
