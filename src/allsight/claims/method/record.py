"""What was measured for a claim: a JSON file that grows by a run at a time, so that nothing is measured twice."""

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from allsight import __version__
from allsight.claims.method.claim import Claim, Run, Verdict, judge, together
from allsight.errors import AnnotationError
from allsight.files import write_json

RESULTS = Path(__file__).parents[1] / "results"


def measure(
    name: str,
    claim: Claim,
    *,
    data: Path,
    scratch: Path,
    results: Path = RESULTS,
    quick: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Run what has not been run yet and return the record; it is written after every run.

    Args:
        name, claim: what to test. data, scratch: see `Run`.
        results: the folder of the records; quick ones have a name of their own.
        quick: the form of minutes.
        say: is handed a line for a person after every run.

    Raises:
        AnnotationError: the record that stands there cannot be read.
    """
    path = results / (f"{name}.quick.json" if quick else f"{name}.json")
    record = read(path) or {"claim": name, "quick": quick, "scores": {}, "seconds": {}}
    record |= {"sentence": claim.sentence, "source": claim.source, "published": claim.published}
    record["measure"] = claim.measure
    for seed in claim.seeds:
        for arm, run in claim.arms.items():
            scores = record["scores"].setdefault(arm, {})
            if str(seed) in scores:
                continue
            begun = time.monotonic()
            scores[str(seed)] = round(float(run(Run(data, seed, quick, scratch / name))), 6)
            record["seconds"].setdefault(arm, {})[str(seed)] = round(time.monotonic() - begun, 1)
            record["versions"] = {"allsight": __version__, "torch": torch.__version__}
            record["machine"] = f"{platform.machine()}, {torch.get_num_threads()} threads"
            write_json(path, record)
            say(f"{name}, {arm}, seed {seed}: {claim.measure} {scores[str(seed)]:.4f}")
    verdicts = verdicts_of(claim, record)
    record["verdicts"] = [
        {"better": c.better, "worse": c.bar, **_rounded(asdict(v))}
        for c, v in zip(claim.comparisons, verdicts, strict=True)
    ]
    record["outcome"] = together(verdicts)
    write_json(path, record)
    return record


def verdicts_of(claim: Claim, record: dict[str, Any]) -> list[Verdict]:
    """Return the verdict of every comparison of a claim by a complete record."""

    def scores(arm: str, share: float = 1.0) -> list[float]:
        return [share * record["scores"][arm][str(seed)] for seed in claim.seeds]

    return [judge(scores(c.better), scores(c.worse, c.share)) for c in claim.comparisons]


def read(path: Path) -> dict[str, Any] | None:
    """Return a record, or None if there is none.

    Raises:
        AnnotationError: it is no record.
    """
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AnnotationError(f"{path}: is no record of a claim ({error}); delete it and measure again") from error
    if not isinstance(record, dict) or "scores" not in record:
        raise AnnotationError(f"{path}: is no record of a claim; delete it and measure again")
    return record


def _rounded(value: dict[str, Any]) -> dict[str, Any]:
    return {key: round(item, 6) if isinstance(item, float) else item for key, item in value.items()}
