"""What the relay sends of a commit, to the letter."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sqla_realtime import Realtime, anyone, signed_in
from sqla_realtime.commit import Change, Commit, Event
from sqla_realtime.errors import BadSetting
from sqla_realtime.integrations.outlet import Outlet
from sqla_realtime.protocol.reports import REPORTS
from tests.support.models import Page, PageOut
from tests.support.scene import Ear

CREATED = Change("projects/1/pages", "create", "Page", "1", b'{"id":1}')
GONE = Change("members/1", "destroy", "Page", "1", cause="leave")


@pytest.fixture
def declared(realtime: Callable[..., Realtime]) -> Realtime:
    made = realtime()
    made.publish(Page, schema=PageOut, channel="projects/{project_id}/pages", join=anyone)
    made.publish(Page, schema=PageOut, channel="members/{project_id}", join=signed_in)
    made.publish(Page, schema=PageOut, channel="pages", join=anyone)
    made.publish(Page, schema=PageOut, channel="private-{title}", join=anyone)
    return made


def sent(outlet: Outlet, *changes: Change, invalidated: frozenset[str] = frozenset()) -> list[tuple[str, str, object]]:
    events = outlet.events(Commit(changes, invalidated))
    return [(event["channel"], event["name"], json.loads(event["data"])) for event in events]


def test_each_change_is_an_event_and_what_is_not_for_anyone_is_private(declared: Realtime) -> None:
    assert sent(Outlet(declared._registry), CREATED, GONE) == [
        ("projects,1,pages", "create", {"id": "1", "class": "Page", "record": {"id": 1}}),
        ("private-members,1", "destroy", {"id": "1", "class": "Page", "cause": "leave"}),
    ]


def test_what_is_said_in_other_dialects_and_between_servers_is_not_relayed(declared: Realtime) -> None:
    events = tuple(Event(app, "projects,1,pages", "news", "{}") for app in ("1", REPORTS))
    assert list(Outlet(declared._registry).events(Commit((), events=events))) == []


def test_only_what_was_asked_for(declared: Realtime) -> None:
    outlet = Outlet(declared._registry, ["members/{project_id}"])
    assert [name for name, *_ in sent(outlet, CREATED, GONE, GONE._replace(channel="unknown"))] == ["private-members,1"]
    assert sent(outlet, invalidated=frozenset(["pages"])) == []
    with pytest.raises(BadSetting, match=r"'members' is not published[\s\S]*members/\{project_id\}, pages"):
        Outlet(declared._registry, ["members"])


def test_a_reset_goes_to_channels_whose_names_are_known(declared: Realtime, ear: Ear) -> None:
    outlet = Outlet(declared._registry)
    invalidated = frozenset(["pages", "members/1", "projects/{project_id}/pages", "elsewhere/{id}"])
    assert sent(outlet, invalidated=invalidated) == [
        ("private-members,1", "reset", {"reason": "invalidated"}),
        ("pages", "reset", {"reason": "invalidated"}),
    ]
    assert ear.text.count("[relay-no-reset]") == 1
    assert list(outlet.gap()) == [{"channel": "pages", "name": "reset", "data": '{"reason":"behind"}'}]


def test_what_the_api_would_refuse_is_not_sent(declared: Realtime, ear: Ear) -> None:
    outlet = Outlet(declared._registry)
    large = CREATED._replace(record=b'"' + b"x" * 10240 + b'"')
    assert sent(outlet, large) == [("projects,1,pages", "reset", {"reason": "too-large"})]
    long = "private-" + "x" * 200
    assert sent(outlet, CREATED._replace(channel="private-x"), *[CREATED._replace(channel=long)] * 2) == []
    assert ear.text.count("[relay-no-name]") == 2, "once for each channel"
