"""`allsight see`: look at pictures."""

import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from allsight.cli.looking import Finish
from allsight.cli.names import checked
from allsight.cli.outlets import Outlets, Targets
from allsight.cli.seen import SeenFile
from allsight.cli.sheet import open_sheet, refuse_unwritable
from allsight.cli.summary import Summary, sentence
from allsight.cli.targets import free_folder, latest_folder, pictures_of, samples
from allsight.cli.terminal import note, only_json, progress, show, silent, waiting
from allsight.errors import ModelError, OutputError, PictureError
from allsight.files import locked

# Torch is imported inside the functions: `allsight see --help` must not wait for it.
if TYPE_CHECKING:
    from allsight.predict import Predictor

TAGS = "tags"  # the model behind --tags
FOLDER = "seen"
CROPS = "crops"
Names = tuple[str, ...]


def see(
    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="PATH ...", help_behavior_hint="")] = (),
    *,
    sample: bool = False,
    model: str = "everyday",
    classes: Annotated[Names, arg(name="class", metavar="NAME ...", help_behavior_hint="")] = (),
    threshold: Annotated[float | None, arg(metavar="SCORE", help_behavior_hint="")] = None,
    tile: bool = False,
    tags: bool = False,
    abstain: bool = False,
    out: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint=f"(default: {FOLDER})")] = None,
    json: Annotated[str | None, arg(metavar="FILE|-", help_behavior_hint="")] = None,
    csv: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None,
    count: bool = False,
    crops: bool = False,
    blur: Annotated[Names, arg(metavar="NAME ...", help_behavior_hint="")] = (),
    plain: bool = False,
    no_draw: bool = False,
    resume: bool = False,
    force: bool = False,
    runtime: Literal["auto", "torch", "onnxruntime", "openvino"] = "auto",
    device: Annotated[str, arg(metavar="DEVICE")] = "auto",
    quiet: bool = False,
    verbose: bool = False,
) -> int:
    """Look at pictures: write annotated copies (JPEG) and what was seen (seen.json) into a folder.

    A picture that cannot be read is reported and the others go on. Exit code: 0 all were seen, 1 some failed, 2 none
    could be seen or the call was wrong.

    Args:
        paths: Files, folders (with all below them, mirrored in the output) and patterns such as "shots/*.png".
        sample: Look at scikit-image's free photographs.
        model: Name of a shipped model (see `allsight models`), or a folder with a model or a training run.
        classes: Show and tell these classes only; pictures stand before it.
        threshold: Show objects from this score on; by default what the model says for each class.
        tile: Look at large pictures tile by tile as well: finds small objects, takes longer.
        tags: Name each picture as a whole by ImageNet's thousand names too, the best with their places: a second
            model, `tags`, looks at it.
        abstain: Show scores that are probabilities, and mark what the model does not vouch for: objects and whole
            pictures unlike those that it learned from, and what is more probably wrong than right. The model must have
            been calibrated (see `allsight calibrate`); --threshold is then one of these scores.
        out: Where the annotated pictures and seen.json go; where this folder is taken, seen-2 and so on.
        json: Write the JSON there instead. "-" writes it to stdout, and nothing else; then pictures are drawn only if
            --out is given.
        csv: Write a table as well, a row an object; Parquet if the name ends in .parquet.
        count: Print how many objects of each class are in every picture, and in all.
        crops: Cut out every object, with a margin, into a folder for each class: OUT/crops/CLASS/.
        blur: Blur the objects of these classes in all pictures that are written, by their outlines where the model
            gives them. What the model misses stays sharp: look the pictures through before you give them away.
        plain: Write the pictures without boxes and names; for --blur.
        no_draw: Write no annotated pictures.
        resume: Go on where a run was broken off, or see what has been added since; with the same options as then.
        force: Replace files that exist already.
        runtime: What computes: by default the fastest that is installed. The graph that it runs is made once and kept;
            for a few pictures that is not worth while, and torch does it.
        device: cpu, cuda, cuda:1 or mps; by default a GPU of CUDA where there is one.
        quiet: Say nothing but what goes wrong.
        verbose: Say what computes, and a line a picture as it is seen.

    Returns:
        The exit code.
    """
    _refuse_nonsense(paths, sample, threshold)
    if tags and abstain:
        raise ModelError("--tags: nothing is known of the limits of these names; leave --abstain out")
    _refuse_both({"--resume": resume, "--force": force, "--json -": json == "-"})
    _refuse_both({"--no-draw": no_draw, "--plain": plain})
    folder = out or (Path(FOLDER) if force else latest_folder(FOLDER) if resume else free_folder(FOLDER))
    found = {**({path: Path(path.name) for path in samples()} if sample else {}), **pictures_of(paths, folder)}
    targets = Targets.of(
        found,
        folder,
        draw=not no_draw and (json != "-" or out is not None),
        crops=folder / CROPS if crops else None,
        file=None if json == "-" else Path(json or folder / "seen.json"),
        table=csv,
    )
    if blur and not targets.drawn and not crops:
        raise OutputError("--blur: no pictures are written that could be blurred; leave out --no-draw, or give --out")
    if csv is not None:
        refuse_unwritable(csv)
    targets.refuse_to_lose(list(found), resume=resume, force=force)
    wish = Wish(
        model=model,
        load={"threshold": threshold, "abstain": abstain, "runtime": runtime, "device": device},
        classes=classes,
        blur=blur,
        tile=tile,
        tags=tags,
        plain=plain,
        count=count,
        resume=resume,
        quiet=quiet,
        verbose=verbose,
    )
    return _see(list(found), targets, wish)


@dataclass(frozen=True)
class Wish:
    """What is asked for besides pictures and files; each as the option of that name, `load` for `allsight.load`."""

    model: str
    load: dict[str, Any]
    classes: Names
    blur: Names
    tile: bool
    tags: bool
    plain: bool
    count: bool
    resume: bool
    quiet: bool
    verbose: bool

    def settings(self, targets: Targets) -> dict[str, Any]:
        """Return what decides the answers, as plain values; without what is off."""
        options = {
            "threshold": self.load["threshold"],
            "abstain": self.load["abstain"],
            "class": list(self.classes),
            "blur": list(self.blur),
            "tile": self.tile,
            "tags": self.tags,
            "plain": self.plain,
            "crops": targets.crops is not None,
            "no-draw": not targets.drawn,
        }
        return {name: value for name, value in options.items() if value not in (None, False, [])}


def _see(pictures: list[Path], targets: Targets, wish: Wish) -> int:
    """See the pictures and tell of them; returns the exit code."""
    with only_json(targets.file is None) as stdout, ExitStack() as stack:
        for folder in {each.resolve() for each in (targets.folder, targets.file and targets.file.parent) if each}:
            stack.enter_context(locked(folder))
        with nullcontext() if wish.quiet else waiting(f"loading {wish.model}"):  # torch alone takes seconds
            from allsight.predict import load

            say = silent if wish.quiet else note
            predictor = load(wish.model, **wish.load, shown_only=True, pictures=len(pictures), say=say)
            beside = None
            if wish.tags and wish.model != TAGS:
                others = {name: wish.load[name] for name in ("runtime", "device")}
                beside = load(TAGS, **others, pictures=len(pictures), say=say)
        finish = Finish(
            targets.drawn,
            targets.places,
            targets.crops,
            checked("--class", wish.classes, predictor) or None,
            checked("--blur", wish.blur, predictor, objects_only=True),
            plain=wish.plain,
            rows=targets.table is not None,
        )
        sheet = stack.enter_context(open_sheet(targets.table)) if targets.table is not None else None
        sink = SeenFile(targets.file or stdout, predictor.model.name, wish.settings(targets))
        with Outlets(sink, Summary(wish.classes if wish.count else None), sheet) as outlets:
            if wish.resume:
                outlets.resume()
            if wish.verbose:
                note(f"{predictor.model.name} is computed by {predictor.runtime}")
            begun = time.monotonic()
            rest = [path for path in pictures if str(path) not in outlets.earlier]
            _look(predictor, beside, rest, finish, wish, outlets)
            seconds = time.monotonic() - begun
        if not sink.count:  # the table does not appear then
            raise _nothing_seen(sink)
        if not wish.quiet:
            outlets.summary.show()
            _show_places(outlets, seconds, targets)
    return 1 if sink.failed else 0


def _refuse_nonsense(paths: Sequence[Path], sample: bool, threshold: float | None) -> None:
    if not paths and not sample:
        raise PictureError("nothing to look at: give pictures, folders or patterns, or --sample")
    if threshold is not None and not 0 <= threshold <= 1:
        raise ModelError(f"--threshold {threshold}: is not a score; give a number from 0 to 1")


def _refuse_both(options: dict[str, bool]) -> None:
    """Refuse options that contradict the first one, when it is given."""
    first, *others = options
    for other in others:
        if options[first] and options[other]:
            raise OutputError(f"{first} and {other}: contradict each other; give one of them")


def _look(
    predictor: "Predictor",
    beside: "Predictor | None",
    pictures: list[Path],
    finish: Finish,
    wish: Wish,
    outlets: Outlets,
) -> None:
    """See all pictures; what was seen is told and forgotten, so that memory stays flat."""
    from allsight.predict import stream

    several = stream(predictor, pictures, then=finish, full_size=finish.pixels, tiled=wish.tile, beside=beside)
    if not wish.quiet and not wish.verbose:
        several = progress(several, len(pictures), "looking")
    for seen in several:
        if isinstance(seen.error, OutputError):
            raise seen.error  # a full disk is no fault of the picture, and will not get better with the next one
        if seen.error is not None:
            if len(pictures) > 1:
                note(f"error: {seen.error}")
            outlets.sink.fail(seen.path, str(seen.error))
        else:
            outlets.add(seen.result)
            if wish.verbose:
                note(f"{seen.path}: {sentence(seen.result.tally)}")


def _nothing_seen(sink: SeenFile) -> PictureError:
    if len(sink.failed) == 1:
        return PictureError(sink.failed[0][1])
    return PictureError(f"none of {len(sink.failed):,} pictures could be seen; the reasons stand above")


def _show_places(outlets: Outlets, seconds: float, targets: Targets) -> None:
    """Show where everything is and how long it took."""
    sink, earlier = outlets.sink, len(outlets.earlier)
    new = sink.count - earlier
    line = f"{new:,} picture{'s' if new != 1 else ''} in {seconds:.1f} s ({new / max(seconds, 1e-9):.0f} a second)"
    line = line if new else "nothing new"
    failed = [f"{len(sink.failed):,} failed, reasons above"] if sink.failed else []
    before = [f"{earlier:,} had been seen before"] if earlier else []
    places = [f"annotated pictures in {targets.folder}/"] if targets.folder else []
    places += [f"objects cut out in {targets.crops}/"] if targets.crops else []
    places += [f"what was seen in {targets.file}"] if targets.file else []
    places += [f"a table of it in {targets.table}"] if targets.table else []
    show("; ".join([line, *before, *failed, *places]))
