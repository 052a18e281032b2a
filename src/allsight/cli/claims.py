"""`allsight claims`: re-run the comparisons of the lectures and say which of them hold here."""

from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from allsight.cli.terminal import note, only_json, refuse_result, show, table, write_result


def claims(
    names: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME ...", help_behavior_hint="")] = (),
    *,
    quick: bool = False,
    data: Annotated[Path, arg(metavar="FOLDER")] = Path("../shared/data"),
    results: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: the package's own)")] = None,
    scratch: Annotated[Path, arg(metavar="FOLDER")] = Path("runs/claims"),
    recorded: bool = False,
    json: Annotated[str | None, arg(metavar="FILE|-", help_behavior_hint="")] = None,
    force: bool = False,
) -> int:
    """Test claims of the lectures: every arm with every seed, the mean difference with its 95% interval, the verdict.

    What has been measured before is not measured again: the records hold every run.

    Args:
        names: Claims to test; all of them by default.
        quick: The form of minutes, smaller and with records of its own.
        data: Folder of the data sets.
        results: Where the records lie.
        scratch: For checkpoints and caches.
        recorded: Measure nothing, show what the records say.
        json: Write the records as JSON there; "-" is stdout, and nothing else goes there.
        force: Replace the file that --json names.

    Returns:
        The exit code.
    """
    refuse_result(json, force)
    from allsight.claims.method.ledger import CLAIMS, claim
    from allsight.claims.method.record import RESULTS, measure, read

    folder = results or RESULTS
    chosen = {name: claim(name) for name in names or CLAIMS}
    with only_json(json == "-") as stdout:
        records = []
        for name, one in chosen.items():
            if recorded:
                record = read(folder / (f"{name}.quick.json" if quick else f"{name}.json"))
            else:
                record = measure(name, one, data=data, scratch=scratch, results=folder, quick=quick, say=note)
            records += [record] if record is not None and "outcome" in record else []
        if json is None:
            _show(records)
        write_result(records, json, stdout)
    return 0


def _show(records: list[dict[str, Any]]) -> None:
    made = table(("claim", "comparison", ">difference", ">95% interval", "verdict"))
    for record in records:
        for verdict in record["verdicts"]:
            made.add_row(
                record["claim"],
                f"{verdict['better']} > {verdict['worse']}",
                f"{verdict['difference']:+.3f}",
                f"{verdict['low']:+.3f} to {verdict['high']:+.3f}",
                verdict["outcome"],
            )
    show(made)
