"""Reports: what was spelled is read, as far as it is about what is known here; anything else is no report."""

from __future__ import annotations

import json

import pytest

from sqla_realtime.protocol.reports import FLAGS, Fact, Key, Report, read, spell

ANN, ROOM = Key("members", "presence-a", "änn"), Key("rooms", "presence-a")


def test_what_was_spelled_is_read() -> None:
    report = Report(
        {ANN: Fact(1, {"name": "Ä"}), ROOM: Fact(0), Key("rooms", "x"): None}, ["b"], "c", **dict.fromkeys(FLAGS, True)
    )
    assert spell(report).isascii()
    assert read(spell(report), ["members", "rooms"]) == report
    assert read(spell(Report()), []) == Report(answers=[])
    assert read(spell(report), ["rooms"]).facts == {ROOM: Fact(0), Key("rooms", "x"): None}


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert read('{"facts":[],"answers":[],"teller":"","flags":["beats","waves"],"more":1}', []) == Report(
        answers=[], beats=True
    )


def test_constants_that_json_has_not_are_none() -> None:
    report = Report({ROOM: Fact(1, [float("nan"), float("inf")])})
    assert read(spell(report), ["rooms"]).facts == {ROOM: Fact(1, [None, None])}


FACT = ["rooms", "x", "", [1, None]]


@pytest.mark.parametrize(
    "fact",
    [
        None, 1, [], {}, FACT[:3], [*FACT, 1], [1, *FACT[1:]], ["rooms", "\ud800", "", None], [*FACT[:3], 1], [*FACT[:3], [1]],
        [*FACT[:3], [-1, None]], [*FACT[:3], [True, None]], [*FACT[:3], ["1", None]], [[], "x", "", None],
    ],
)  # fmt: skip
def test_a_fact_that_is_none_keeps_nobody_from_the_others(fact: object) -> None:
    text = json.dumps({"facts": [fact, FACT], "answers": [], "teller": "", "flags": []})
    assert read(text, ["rooms"]).facts == {Key("rooms", "x"): Fact(1)}


@pytest.mark.parametrize(
    "value",
    [
        None, [], 1, {}, {"facts": 1, "answers": [], "teller": "", "flags": []},
        {"facts": [], "answers": [1], "teller": "", "flags": []}, {"facts": [], "answers": [], "teller": None, "flags": []},
        {"facts": [], "answers": [], "teller": "\ud800", "flags": []}, {"facts": [], "answers": [], "teller": "", "flags": 1},
    ],
)  # fmt: skip
def test_what_is_no_report(value: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read(json.dumps(value), ["rooms"])


@pytest.mark.parametrize("text", ["", "x", "[" * 100_000, '{"facts":[["rooms","x","",' + "[" * 100_000])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read(text, ["rooms"])
