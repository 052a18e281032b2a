"""All architectures for regions in one table: size, arithmetic, time of a picture, and score after equal training.

    python benchmarks/segmentation.py [--json PATH] [--quick]
    python benchmarks/segmentation.py --train ../shared/data/camvid --out runs/architectures --json PATH

At equal trunk: EfficientNet-Lite0 with ImageNet's weights, and `vgg_narrow` from scratch, which has pooling indices for
SegNet and DeconvNet. Pictures of 240x320 are padded to the stride. The papers' own forms are counted, not run. With
`--train` each is trained by the recipe for as many epochs, one after the other; called again it goes on.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from allsight.data.inputs import PictureInputs
from allsight.models.vision import Vision
from allsight.recipes.run import train
from allsight.recipes.segmentation.segmenter import BUILDERS, Architecture, Segmenter
from allsight.scene import Vocabulary
from allsight.systems import builder
from timing import Rows, cpu_milliseconds, report

LONGEST = 320
SIZE = PictureInputs(LONGEST).frame((240, 320)).padded
CLASSES = Vocabulary(tuple(f"class {i}" for i in range(11)))
INDEXED = tuple(name for name in BUILDERS if name.startswith(("segnet", "deconvnet")))
ANY_TRUNK = tuple(name for name in BUILDERS if name not in INDEXED)
PRETRAINED, SCRATCH = "efficientnet_lite0", "vgg_narrow"
ARMS: list[tuple[str, Architecture]] = [
    *((PRETRAINED, name) for name in ANY_TRUNK),
    *((SCRATCH, name) for name in BUILDERS),
]
PAPERS: list[tuple[str, Architecture]] = [
    *(("vgg16", name) for name in ("fcn32s", "fcn16s", "fcn8s", "front_end", "dilated")),
    ("unet_encoder", "unet"),
    *(("vgg16_bn", name) for name in ("segnet", "deconvnet")),
    ("resnet50", "fpn"),
]


def headline(rows: Rows) -> Rows:
    """Return no line: these are arms side by side, none is the peer."""
    return []


def built(trunk: str, architecture: Architecture, paper: bool = False) -> Vision:
    """Return a system with weights as they begin; EfficientNet's are not read, as they make no difference here."""
    narrow, published, arguments = BUILDERS[architecture]
    own = builder(trunk)(weights=False if trunk == PRETRAINED else None)
    system: Vision = builder(published if paper else narrow)(trunk=own, classes=CLASSES, **arguments)
    return system.eval()


def counted(trunk: str, architecture: Architecture, paper: bool) -> dict[str, Any]:
    """Return parameters and arithmetic of a picture, without memory for either."""
    with torch.device("meta"):
        system = built(trunk, architecture, paper)
        pictures = torch.zeros(1, 3, *SIZE)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        system(pictures)
    millions = sum(parameter.numel() for parameter in system.parameters()) / 1e6
    ahead = millions - sum(parameter.numel() for parameter in system.trunk.parameters()) / 1e6
    return {
        "trunk": trunk,
        "architecture": architecture,
        "form": "paper" if paper else "narrow",
        "parameters_millions": millions,
        "over_the_trunk": ahead,
        "gflops": counter.get_total_flops() / 1e9,
    }


@torch.inference_mode()
def milliseconds_of(trunk: str, architecture: Architecture, repeats: int) -> float:
    """Return the processor time of a picture on one thread, from pixels to logits."""
    system = built(trunk, architecture).to(memory_format=torch.channels_last)
    pictures = torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8)
    return cpu_milliseconds(lambda _: system(pictures), 1, repeats)


def score_of(trunk: str, architecture: Architecture, options: argparse.Namespace) -> dict[str, float]:
    """Train, or go on, and return the scores on held-out pictures."""
    recipe = Segmenter(
        data=options.train,
        architecture=architecture,
        trunk=trunk,
        longest=96 if options.quick else LONGEST,
        epochs=1 if options.quick else options.epochs,
        evaluate_every=1 if options.quick else options.epochs,
        # Weights that begin at random have as far to go as those of the decoder.
        trunk_rate=0.25 if trunk == PRETRAINED else 1.0,
        seed=options.seed,
    )
    out = options.out / f"{trunk}-{architecture}-{recipe.longest}-{recipe.epochs}-{recipe.seed}"
    return train(recipe, out, resume=(out / "recipe.json").exists(), say=lambda told: None)


def main() -> None:
    """Print a row for each architecture, and write all as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean little")
    parser.add_argument("--train", type=Path, metavar="DATA", help="train each on these label maps")
    parser.add_argument("--out", type=Path, default=Path("runs/architectures"), help="folder of the trainings")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", metavar="TRUNK/ARCHITECTURE", help="these rows alone")
    options = parser.parse_args()
    arms = [arm for arm in ARMS if not options.only or "/".join(arm) in options.only]
    rows = []
    for trunk, architecture in arms:
        print(f"{trunk}/{architecture}", flush=True)
        row = counted(trunk, architecture, paper=False)
        row["ms"] = milliseconds_of(trunk, architecture, repeats=1 if options.quick else 15)
        if options.train:
            row |= score_of(trunk, architecture, options)
        rows.append(row)
    if not options.only:
        rows += [counted(trunk, architecture, paper=True) for trunk, architecture in PAPERS]
    report("segmentation", rows, options.json, headline)


if __name__ == "__main__":
    main()
