"""bench.identity: what it counts, on few customers told by hand, and the rule on a small world."""

from __future__ import annotations

from bench.harness import merging
from bench.identity import report, rule
from bench.identity.__main__ import merged
from bench.identity.refits import PLAIN, SHOAL, _count, event_document, event_of, named

from shoal.evaluation.lineage import Event, compare


def test_only_customers_placed_at_both_refits_count():
    counts = [0, 0]
    before, after = {"a": "s01", "b": "s02", "c": "s01"}, {"a": "s01", "b": "s01", "d": "s01"}
    _count(counts, ["a", "b", "c", "d"], before, after, {}, {})
    assert counts == [1, 2]
    renamed = [0, 0]
    _count(renamed, ["a", "b"], before, after, {}, {"s01": "s02"})
    assert renamed == [1, 2]


def test_found_segments_are_named_by_most_of_their_members():
    said = {"a": "s01", "b": "s01", "c": "s01", "d": "s02", "e": "s02", "x": "s03"}
    truth = {"a": "night", "b": "day", "c": "day", "d": "night", "e": "day"}
    assert named(said, truth) == {"s01": "day", "s02": "day"}


def test_events_survive_their_documents():
    event = Event(30.0, "split", frozenset("a"), frozenset("bc"))
    assert event_of(event_document(event)) == event


def test_the_rule_finds_more_planted_changes_than_monic_and_hardly_a_wrong_one():
    found = rule.run(400, 154, 302, 56, 28)
    assert {one.change for one in found["planted"]} == {"split", "merge", "birth", "death"}
    counts = {
        name: compare(found[name], found["planted"], tolerance_days=report.TOLERANCE_DAYS)
        for name in rule.RULES
    }
    assert counts["shoal"].f1 > 0.85
    assert counts["shoal"].f1 > counts["monic"].f1


def test_the_page_tells_every_part_and_what_failed():
    world = {
        "peer": "style", "label": "steady-1", "seed": 1, "refits": 13, "changes": [],
        "same_states": {SHOAL: [9, 10], PLAIN: [2, 10]}, "over_time": {SHOAL: [8, 10]},
        "ari": {SHOAL: [0.5, 0.7]}, "events": [], "planted": [],
    }  # fmt: skip
    split = event_document(Event(60.0, "split", frozenset("a"), frozenset("bc")))
    settings = {"customers": 5, "refits": 13, "k": "planted", "every_days": 28,
                "lineage_customers": 5, "lineage_days": 154}  # fmt: skip
    document = {
        "command": "python -m bench.identity", "seeds": [1], "settings": settings,
        "machine": {"cores": 1, "processor": "p", "memory_gib": 1, "system": "s", "python": "3",
                    "packages": {}},
        "rule": [{"seed": 1, "planted": [split], "shoal": [split], "monic": []}],
        "steady": [world, {"peer": "style", "label": "steady-2", "failed": "too slow"}],
        "lineage": [{**world, "events": [split], "planted": [split]}],
    }  # fmt: skip
    page = report.markdown(document)
    assert (
        "| Shoal's rule | 1.00 (1.00-1.00) | 1.00 (1.00-1.00) | 1.00 (1.00-1.00) | 1/1/1 |" in page
    )
    assert "0 splits, merges, births and deaths told in 1.0 simulated years" in page
    assert "warm start | 0.900 | 0.800 | 0.60 |" in page
    assert "- style steady-2: too slow" in page


def test_a_part_takes_its_place_beside_those_that_were_published():
    machine = {"load": 1}
    old = {"command": "first", "machine": machine, "rule": [1], "steady": [1]}
    found = merged(old, {"command": "later", "machine": machine, "lineage": [2], "steady": [2]})
    assert {part: found[part] for part in ("rule", "steady", "lineage")} == {
        "rule": [1], "steady": [2], "lineage": [2],
    }  # fmt: skip
    assert found["command"] == "first"
    assert [(one["command"], one["peers"]) for one in found[merging.ADDED]] == [
        ("later", ["steady", "lineage"])
    ]


def test_there_must_be_a_page_to_add_to(monkeypatch, tmp_path, capsys):
    from bench.identity import __main__ as command

    arguments = ["bench.identity", "--merge", "--parts", "rule", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    assert command.main() == 1
    assert "run without --merge first" in capsys.readouterr().err
