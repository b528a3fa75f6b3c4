"""Parts: the same reports make the same of everybody, and whoever is killed is ended once, by what others say since."""

from __future__ import annotations

import random
from typing import Any

from sqla_realtime.hub.parts import ENDED, SILENT, Parts, Turn
from sqla_realtime.protocol.reports import Fact, Key, Report

ANN, BOB, ROOM = Key("r", "c", "ann"), Key("r", "c", "bob"), Key("r", "c")
Told = tuple[str, bool, bool, bool]


def has(*keys: Key, **flags: Any) -> Report:
    return Report(dict.fromkeys(keys, Fact(1)), **{"knows": True, **flags})


def lacks(*keys: Key, **flags: Any) -> Report:
    return Report(dict.fromkeys(keys), **{"knows": True, **flags})


ASKS, BEATS = Report(asks=True, empty=True), Report(beats=True, knows=True)
WATCHES = Report(beats=True, knows=True, empty=True)


def told(turns: list[Turn]) -> list[Told]:
    """Who, whether it is there, whether that is news, and whether it is told outside."""
    return [(turn.key.item, turn.fact is not None, turn.edge, turn.outside) for turn in turns]


def begun(me: str = "b") -> Parts:
    """Which knows everything: there is nobody else."""
    parts = Parts(me)
    assert not parts.knows
    parts.hear(me, ASKS)
    assert parts.knows
    return parts


def test_somebody_comes_with_the_first_process_and_goes_with_the_last() -> None:
    parts = begun()
    assert told(parts.hear("a", has(ANN))) == [("ann", True, True, False)]
    assert told(parts.hear("b", has(ANN))) == [("ann", True, False, True)]
    assert told(parts.hear("b", has(ANN))) == [], "it is no news"
    assert parts.elsewhere(ANN) == 1
    assert parts.own() == [ANN]
    assert told(parts.hear("a", lacks(ANN, BOB, empty=True))) == [("ann", False, False, False)]
    assert told(parts.hear("b", lacks(ANN, empty=True))) == [("ann", False, True, True)]
    assert parts.empty
    assert parts.elsewhere(ANN) == 0
    assert parts.own() == []


def test_connections_are_counted_over_all_others() -> None:
    parts = begun()
    for process, number in (("a", 2), ("b", 5), ("c", 3)):
        parts.hear(process, Report({ROOM: Fact(number)}, knows=True))
    assert parts.elsewhere(ROOM) == 5
    assert list(parts.channels("r")) == ["c"]
    assert list(parts.channels("other")) == []
    for process in "ac":
        assert told(parts.hear(process, Report({ROOM: Fact(0)}, knows=True))) == [("", True, False, False)]
    assert parts.elsewhere(ROOM) == 0
    assert list(parts.channels("r")) == [], "nobody is there, though somebody may come back"


def test_who_is_killed_is_ended_by_another_ones_beats() -> None:
    parts, killer = begun("b"), begun("c")
    for each in (parts, killer):
        each.hear("a", has(ANN, BOB))
        each.hear("b", has(BOB))
    for _ in range(SILENT - 1):
        assert parts.hear("c", BEATS) == killer.hear("c", BEATS) == []
    parts.hear("b", BEATS)
    killer.hear("b", BEATS)
    assert told(parts.hear("c", BEATS)) == [("ann", False, True, False), ("bob", False, False, False)]
    assert told(killer.hear("c", BEATS)) == [("ann", False, True, True), ("bob", False, False, True)]
    assert told(parts.hear("c", BEATS)) == []


def test_whoever_says_anything_is_alive() -> None:
    parts = begun()
    parts.hear("a", has(ANN))
    for _ in range(9):
        for _ in range(SILENT - 1):
            assert parts.hear("b", BEATS) == []
        parts.hear("a", Report(knows=True))


def test_a_process_that_is_ended_by_mistake_is_told_so() -> None:
    parts = begun("b")
    parts.hear("b", has(ANN))
    turns = [turn for _ in range(SILENT) for turn in parts.hear("a", BEATS)]
    assert [(turn.own, turn.fact, turn.outside) for turn in turns] == [(True, None, False)]
    assert told(parts.hear("b", has(ANN))) == [("ann", True, True, True)]


def test_who_says_goodbye_is_ended_sooner() -> None:
    parts = begun("b")
    parts.hear("a", has(ANN, ends=True))
    for _ in range(ENDED - 1):
        assert parts.hear("b", WATCHES) == []
    assert told(parts.hear("b", WATCHES)) == [("ann", False, True, True)]
    assert parts.empty


def test_who_is_new_knows_when_everybody_has_answered() -> None:
    parts = Parts("n")
    parts.hear("a", has(ANN))  # as much as the log holds still
    parts.hear("c", has(BOB))
    parts.hear("gone", has(ROOM))
    parts.hear("gone", lacks(ROOM, empty=True))
    assert parts.hear("n", ASKS) == []
    parts.hear("a", has(ANN, ROOM, answers=["x"]))
    assert not parts.knows
    parts.hear("a", Report(answers=["n"], knows=True))
    assert not parts.knows
    parts.hear("c", lacks(BOB, empty=True))
    assert parts.knows


def test_who_does_not_answer_is_not_waited_for_for_ever() -> None:
    parts = Parts("n")
    parts.hear("a", has(ANN))
    parts.hear("c", has(BOB))
    parts.hear("n", ASKS)
    beat = Report(beats=True)
    for _ in range(SILENT - 1):
        assert parts.hear("n", beat) == []
    assert not parts.knows
    assert parts.hear("n", beat) == [], "another one may know more of them"
    assert parts.knows
    assert told([turn for _ in range(SILENT) for turn in parts.hear("n", BEATS)]) == [
        ("ann", False, True, True), ("bob", False, True, True)
    ]  # fmt: skip


def test_the_only_one_that_knows_is_ended_by_whoever_is_there() -> None:
    parts = Parts("n")
    parts.hear("old", has(ANN))
    parts.hear("n", ASKS)
    beat = Report(beats=True, empty=True)
    assert told([turn for _ in range(SILENT) for turn in parts.hear("n", beat)]) == [("ann", False, True, True)]
    assert parts.empty
    assert parts.knows


def test_one_that_knows_tells_what_another_one_cannot_judge() -> None:
    new, old = Parts("n"), begun("b")
    for each in (new, old):
        each.hear("gone", has(ROOM))
        each.hear("b", has(BOB, beats=True))
        each.hear("n", ASKS)
    assert new.teller == "", "whoever was heard before may be gone"
    for each in (new, old):
        each.hear("b", Report(answers=["n"], knows=True))
        each.hear("other", Report(knows=True, ends=True))
    assert not new.knows
    assert (new.teller, old.teller) == ("b", "")
    report = has(ANN, knows=False, teller=new.teller)
    assert told(new.hear("n", report)) == [("ann", True, True, False)]
    assert told(old.hear("n", report)) == [("ann", True, True, True)]
    for each in (new, old):
        each.hear("gone", lacks(ROOM, empty=True))
        each.hear("other", lacks(empty=True))
    assert new.knows
    assert new.teller == ""
    report = lacks(ANN)
    assert told(new.hear("n", report)) == [("ann", False, True, True)]
    assert told(old.hear("n", report)) == [("ann", False, True, False)]


def test_a_process_that_is_ended_is_waited_for_no_more() -> None:
    parts = Parts("n")
    parts.hear("a", has(ANN))
    parts.hear("c", has(BOB))
    parts.hear("n", ASKS)
    parts.hear("c", has(answers=["n"]))
    assert not parts.knows
    assert told([turn for _ in range(SILENT) for turn in parts.hear("c", BEATS)]) == [("ann", False, True, False)]
    assert parts.knows


def test_nobody_is_left_to_judge_when_the_last_one_that_knows_is_ended() -> None:
    parts = Parts("n")
    parts.hear("a", has(ANN, knows=False))
    parts.hear("n", ASKS)
    parts.hear("c", has(BOB))
    assert parts.teller == "c"
    beat = Report(beats=True)
    assert told([turn for _ in range(SILENT) for turn in parts.hear("a", beat)]) == [("bob", False, True, False)]
    assert not parts.knows
    assert parts.teller == ""


def test_who_says_that_it_has_nothing_has_nothing_and_is_forgotten() -> None:
    parts = begun()
    parts.hear("a", has(ANN))
    assert told(parts.hear("a", Report(empty=True, knows=True))) == [("ann", False, True, False)]
    for number in range(9):
        parts.hear(str(number), ASKS)
    assert parts._peers == {}
    assert parts._facts["r"] == {}


def test_after_a_gap_what_is_not_repeated_is_gone() -> None:
    parts = begun("b")
    parts.hear("a", has(ANN, BOB))
    parts.hear("c", has(ROOM))
    parts.doubt()
    assert not parts.knows
    parts.hear("b", ASKS)
    parts.hear("a", has(BOB))
    assert told(parts.hear("a", Report(answers=["b"], knows=True))) == [("ann", False, True, False)]
    assert not parts.knows
    assert told(parts.hear("c", Report(empty=True, knows=True))) == [("", False, True, False)]
    assert parts.knows
    assert parts.elsewhere(BOB) == 1


def test_all_that_hear_the_same_agree_and_each_thing_is_told_by_one() -> None:
    """Whatever they say, in whatever order it comes into the log, and whoever is silent."""
    for seed in range(60):
        dice = random.Random(seed)
        names, keys = "abc", [ANN, BOB, ROOM]
        all_ = {name: Parts(name) for name in names}
        for name in names:
            for parts in all_.values():
                parts.hear(name, Report(asks=True, empty=True))
        for _ in range(80):
            name = dice.choice(names[: dice.choice((2, 3))])
            facts = {dice.choice(keys): dice.choice((None, Fact(1))) for _ in range(dice.randrange(3))}
            knows = all_[name].knows
            report = Report(facts, beats=dice.random() < 0.4, knows=knows, teller=all_[name].teller)
            heard = {each: parts.hear(name, report) for each, parts in all_.items()}
            same = [[turn[:3] + turn[4:5] for turn in turns] for turns in heard.values()]
            assert same[0] == same[1] == same[2]
            for number in range(len(same[0])):
                assert sum(turns[number].outside for turns in heard.values()) == 1
