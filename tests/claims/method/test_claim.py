"""The rule of the verdicts against scipy's paired test, and records that survive interruption."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from allsight.claims.method.claim import Claim, Comparison, Run, Verdict, judge, together
from allsight.claims.method.ledger import CLAIMS, claim
from allsight.claims.method.record import RESULTS, measure, read
from allsight.errors import AllsightError, AnnotationError

scores = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=8)


@given(scores)
def test_interval_and_verdict_are_those_of_the_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    better, worse = zip(*pairs, strict=True)
    if len({round(a - b, 6) for a, b in pairs}) == 1:
        return  # no spread, no test
    found = judge(better, worse)
    expected = stats.ttest_rel(better, worse)
    interval = expected.confidence_interval(0.95)
    assert found.low == pytest.approx(interval.low, abs=1e-9)
    assert found.high == pytest.approx(interval.high, abs=1e-9)
    if found.outcome != "not decided at this scale":
        assert expected.pvalue < 0.05
        assert (found.outcome == "holds") == (expected.statistic > 0)


def test_verdicts_by_hand() -> None:
    assert judge([0.9, 0.8, 0.85], [0.5, 0.4, 0.44]).outcome == "holds"
    assert judge([0.5, 0.4, 0.44], [0.9, 0.8, 0.85]).outcome == "does not hold"
    assert judge([0.9, 0.1, 0.5], [0.5, 0.4, 0.6]).outcome == "not decided at this scale"
    # Student's t for two degrees of freedom is 4.303: mean 2, deviation 1.
    found = judge([1.0, 2, 3], [0.0, 0, 0])
    assert (found.low, found.high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-3)


def test_two_runs_decide_nothing() -> None:
    with pytest.raises(AllsightError, match="at least 3"):
        judge([1.0, 1.0], [0.0, 0.0])


def test_a_claim_of_several_comparisons() -> None:
    holds, fails, open_ = (Verdict(0, 0, 0, o) for o in ("holds", "does not hold", "not decided at this scale"))
    assert together([holds, holds]) == "holds"
    assert together([holds, open_]) == "not decided at this scale"
    assert together([open_, fails]) == "does not hold"


def made(calls: list[tuple[str, int]], fail_at: tuple[str, int] | None = None) -> Claim:
    def arm(name: str, level: float) -> object:
        def run(run: Run) -> float:
            if (name, run.seed) == fail_at:
                raise KeyboardInterrupt
            calls.append((name, run.seed))
            return level + run.seed / 100

        return run

    arms = {"good": arm("good", 0.8), "bad": arm("bad", 0.5)}
    return Claim("good beats bad", "nobody 1999", "none", "score", arms, [Comparison("good", "bad")])  # type: ignore[arg-type]


def test_keeping_up_is_beating_a_share(tmp_path: Path) -> None:
    scores = {"joint": [0.80, 0.82, 0.78], "single": [0.81, 0.82, 0.80]}
    arms = {name: lambda run, own=own: own[run.seed] for name, own in scores.items()}
    comparisons = [Comparison("joint", "single", share=0.95), Comparison("joint", "single")]
    record = measure(
        "made",
        Claim("s", "s", "p", "m", arms, comparisons),  # type: ignore[arg-type]
        data=tmp_path,
        scratch=tmp_path,
        results=tmp_path,
    )
    kept, beaten = record["verdicts"]
    assert (kept["worse"], beaten["worse"]) == ("95% of single", "single")
    expected = stats.ttest_rel(scores["joint"], [0.95 * score for score in scores["single"]])
    assert kept["low"] == pytest.approx(expected.confidence_interval().low, abs=1e-5)
    assert (kept["outcome"], beaten["outcome"]) == ("holds", "not decided at this scale")


def test_an_interrupted_measurement_goes_on_where_it_stopped(tmp_path: Path) -> None:
    calls: list[tuple[str, int]] = []
    places = {"data": tmp_path, "scratch": tmp_path, "results": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        measure("made", made(calls, fail_at=("bad", 1)), **places)
    assert len(calls) == 3
    record = measure("made", made(calls), **places)
    assert sorted(calls) == [(name, seed) for name in ("bad", "good") for seed in range(3)]
    assert record["outcome"] == "holds"
    assert record["verdicts"][0]["difference"] == pytest.approx(0.3)
    assert json.loads((tmp_path / "made.json").read_text()) == record
    measure("made", made(calls), **places)
    assert len(calls) == 6


def test_a_broken_record_is_said_and_kept(tmp_path: Path) -> None:
    (tmp_path / "made.json").write_text("{")
    with pytest.raises(AnnotationError, match="is no record of a claim"):
        measure("made", made([]), data=tmp_path, scratch=tmp_path, results=tmp_path)
    assert (tmp_path / "made.json").read_text() == "{"


def test_a_claim_needs_three_seeds_and_arms_that_exist() -> None:
    arms = {"a": lambda run: 1.0, "b": lambda run: 0.0}
    with pytest.raises(AllsightError, match="at least 3 seeds"):
        Claim("s", "s", "p", "m", arms, [Comparison("a", "b")], seeds=(0, 1))
    with pytest.raises(AllsightError, match="compares arms that it has"):
        Claim("s", "s", "p", "m", arms, [Comparison("a", "c")])


def test_every_claim_of_the_ledger_says_where_it_comes_from() -> None:
    for name in CLAIMS:
        one = claim(name)
        assert one.sentence
        assert one.source
        assert one.published


def test_the_records_that_are_shipped_are_of_claims_and_can_be_read() -> None:
    paths = list(RESULTS.glob("*.json"))
    assert paths
    for path in paths:
        record = read(path)
        assert record is not None
        assert record["claim"] == path.stem.removesuffix(".quick")
        assert record["claim"] in CLAIMS
