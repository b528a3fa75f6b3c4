"""The RealtimeClient: rows, commits, refusals and reloads as the server would have them, without one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, current_app
from flask import session as flask_session
from pydantic import BaseModel
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from sqla_realtime import Identity
from sqla_realtime.errors import BadSetting
from sqla_realtime.testing import RealtimeClient, Refusal
from tests.support.models import Base, Page
from tests.support.outer import PAGES, Shop, after_transaction_end, create_savepoint
from tests.support.scene import SECRET


class PageTitle(BaseModel):
    """Less of a page."""

    id: int
    title: str


FIRST = {"id": 1, "project_id": 5, "title": "first", "size": 7}
Make = Callable[..., RealtimeClient]


@pytest.fixture
def shop(engine: Engine) -> Shop:
    return Shop(engine)


@pytest.fixture
def small(sqlite: Engine) -> Shop:
    return Shop(sqlite)


@pytest.fixture
def client() -> Iterator[Callable[..., RealtimeClient]]:
    made: list[RealtimeClient] = []

    def make(shop: Shop, *arguments: Any, **options: Any) -> RealtimeClient:
        made.append(RealtimeClient(shop.realtime, *arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def add(shop: Shop, number: int, project: int = 5) -> None:
    with shop.sessions.begin() as session:
        session.add(Page(id=number, project_id=project))


def test_rows_then_commits_then_rows(shop: Shop, client: Make) -> None:
    browser = client(shop)
    assert browser.subscribe(PAGES) == [FIRST]
    with shop.sessions.begin() as session:
        session.get_one(Page, 1).title = "x"
        session.add(Page(id=2, project_id=5))
    update, create = browser.next_commit()
    assert (update["type"], update["changed"], update["record"]) == ("update", ["title"], {**FIRST, "title": "x"})
    assert (create["type"], create["id"], create["channel"]) == ("create", "2", PAGES)
    assert [row["id"] for row in browser.rows(PAGES)] == [1, 2]
    with shop.sessions.begin() as session:
        session.delete(session.get_one(Page, 1))
    assert [row["id"] for row in browser.rows(PAGES)] == [2]
    assert browser.commits() == [[{"type": "destroy", "class": "Page", "id": "1", "channel": PAGES}]]
    assert browser.commits() == []


def test_only_what_was_joined_comes_and_only_until_it_is_left(small: Shop, client: Make) -> None:
    browser = client(small)
    browser.subscribe(PAGES)
    add(small, 2, project=6)
    assert browser.commits() == []
    browser.unsubscribe(PAGES)
    add(small, 3)
    assert browser.commits() == []
    with pytest.raises(LookupError, match=r"subscribe\('projects/5/pages'\)"):
        browser.rows(PAGES)


def test_two_clients_see_what_is_theirs(small: Shop, client: Make) -> None:
    ada, nobody = client(small, user="ada"), client(small)
    assert ada.subscribe("members/5") == [FIRST]
    with pytest.raises(Refusal) as caught:
        nobody.subscribe("members/5")
    assert (caught.value.code, caught.value.channel) == ("forbidden", "members/5")
    assert str(caught.value) == (
        "members/5: There is no such channel, or it is not for you.\nIts rule did not return True for this user. [forbidden]"
    )
    add(small, 2)
    assert [change["class"] for change in ada.next_commit()] == ["MemberPage"]
    assert nobody.commits() == []


def test_a_channel_that_is_refused_later_is_left(small: Shop, client: Make) -> None:
    allowed = True
    small.realtime.publish(Page, schema=PageTitle, channel="some/{project_id}", join=lambda user, project_id: allowed)
    browser = client(small)
    browser.subscribe("some/5")
    allowed = False
    with pytest.raises(Refusal):
        browser.subscribe("some/5")
    with pytest.raises(LookupError):
        browser.rows("some/5")


def test_rules_run_in_the_thread_of_the_test_and_may_be_coroutines(small: Shop, client: Make) -> None:
    threads = []

    def plain(user: Any, project_id: int) -> bool:
        threads.append(threading.current_thread())
        return project_id == 5

    async def waiting(user: Any, project_id: int) -> bool:
        await asyncio.sleep(0)
        return project_id == 5

    small.realtime.publish(Page, schema=PageTitle, channel="plain/{project_id}", join=plain)
    small.realtime.publish(Page, schema=PageTitle, channel="waiting/{project_id}", join=waiting)
    browser = client(small)
    assert browser.subscribe("plain/5") == browser.subscribe("waiting/5") == [{"id": 1, "title": "first"}]
    assert threads == [threading.current_thread()]
    with pytest.raises(Refusal):
        browser.subscribe("waiting/6")


def test_users_are_identified_as_the_server_does_it(sqlite: Engine, client: Make) -> None:
    shop = Shop(sqlite, secret=SECRET)
    asked: list[Identity] = []

    @shop.realtime.identify
    def identify(identity: Identity) -> str | None:
        asked.append(identity)
        return None if identity.id == "gone" else identity.id

    assert client(shop, token=shop.realtime.token("ada")).subscribe("members/5") == [FIRST]
    with pytest.raises(Refusal, match="forbidden"):
        client(shop, token=shop.realtime.token("gone")).subscribe("members/5")
    assert [each.id for each in asked] == ["ada", "gone"]
    open_ones = len(shop.realtime._hooks._taps._taps)
    for token, code in ((shop.realtime.token("ada", -1), "token-expired"), ("nonsense", "bad-token")):
        with pytest.raises(Refusal) as caught:
            client(shop, token=token)
        assert caught.value.code == code
    assert len(shop.realtime._hooks._taps._taps) == open_ones, "who is refused leaves nothing behind"


def test_a_session_cookie_is_read_from_the_headers(small: Shop, client: Make) -> None:
    small.realtime._application.session_cookie = lambda handshake: Identity(handshake.headers["cookie"], {})
    assert client(small, headers={"Cookie": "ada"}).subscribe("members/5") == [FIRST]


def test_a_flask_session_is_who_the_client_is(sqlite: Engine, client: Make) -> None:
    app = Flask(__name__)
    app.config.update(SECRET_KEY=SECRET, TESTING=True)
    shop = Shop(sqlite)
    shop.realtime.init_app(app)
    seen = []

    @shop.realtime.identify
    def identify(identity: Identity) -> str:
        seen.append(current_app.name)
        return identity.id

    @app.route("/login")
    def login() -> str:
        flask_session["user_id"] = 7
        return ""

    browser = app.test_client()
    browser.get("/login")
    cookie = browser.get_cookie("session")
    assert cookie is not None
    assert client(shop, headers={"Cookie": f"session={cookie.value}"}).subscribe("members/5") == [FIRST]
    assert seen == [app.name]
    assert not shop.realtime.running


def test_an_end_of_the_connection_is_a_refusal(sqlite: Engine, client: Make) -> None:
    shop = Shop(sqlite, secret=SECRET, hello_timeout=0.5)
    browser = client(shop, token=shop.realtime.token("ada", 2.5))
    assert browser.subscribe(PAGES) == [FIRST]
    with pytest.raises(Refusal) as caught:
        browser.next_commit(timeout=60)
    assert caught.value.code == "token-expired"
    assert [message["type"] for message in browser.log[-2:]] == ["needs_auth", "bye"]
    with pytest.raises(LookupError):
        browser.rows(PAGES)


def test_no_commit_is_a_failure_that_says_what_was_heard(small: Shop, client: Make) -> None:
    browser = client(small)
    browser.subscribe(PAGES)
    with pytest.raises(AssertionError, match=r'(?s)No commit has come for projects/5/pages\..*"type": "subscribed"'):
        browser.next_commit(timeout=0.01)


def test_a_commit_of_another_thread_is_waited_for(small: Shop, client: Make) -> None:
    browser = client(small)
    browser.subscribe(PAGES)
    heard = len(browser.log)
    thread = threading.Thread(target=add, args=(small, 2))
    thread.start()
    assert [change["id"] for change in browser.next_commit()] == ["2"]
    assert len(browser.log) == heard + 1
    thread.join()


def test_what_is_in_doubt_is_loaded_anew(shop: Shop, client: Make) -> None:
    browser = client(shop)
    browser.subscribe(PAGES)
    with shop.sessions.begin() as session:
        session.execute(text("UPDATE page SET title = 'raw'"))
    assert browser.rows(PAGES) == [{**FIRST, "title": "raw"}]
    assert browser.commits() == []
    assert {"type": "reset", "channels": [PAGES], "reason": "invalidated"} in browser.log


def test_rows_of_a_database_in_memory_need_no_other_thread(client: Make) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    assert client(Shop(engine)).subscribe(PAGES) == [FIRST]
    engine.dispose()


def test_it_works_in_a_test_that_is_a_coroutine(shop: Shop, client: Make) -> None:
    async def test() -> None:
        browser = client(shop)
        assert browser.subscribe(PAGES) == [FIRST]
        add(shop, 2)
        assert [change["id"] for change in browser.next_commit()] == ["2"]
        browser.close()

    asyncio.run(test())


def test_a_rule_that_gives_up_is_a_refusal_and_not_the_end_of_the_test(small: Shop, client: Make) -> None:
    def rule(user: Any, project_id: int) -> bool:
        raise SystemExit

    small.realtime.publish(Page, schema=PageTitle, channel="exit/{project_id}", join=rule)
    with pytest.raises(Refusal):
        client(small).subscribe("exit/5")


def test_closing(small: Shop) -> None:
    with RealtimeClient(small.realtime) as browser:
        browser.subscribe(PAGES)
    browser.close()
    assert not small.realtime._hooks._taps.wants("anything")


@pytest.mark.parametrize("recipe", [create_savepoint, after_transaction_end])
def test_in_a_transaction_that_is_rolled_back(shop: Shop, client: Make, recipe: Any) -> None:
    for _ in range(2):
        with recipe(shop) as (connection, session):
            session.add(Page(id=2, project_id=5, title="a"))
            session.commit()
            browser = client(shop, connection=connection)
            assert [row["title"] for row in browser.subscribe(PAGES)] == ["first", "a"]
            session.get_one(Page, 2).title = "b"
            session.flush()
            assert browser.commits() == []
            session.commit()
            [change] = browser.next_commit()
            assert change["changed"] == ["title"]
            session.execute(text("DELETE FROM page WHERE id = 1"))
            session.commit()
            assert [row["title"] for row in browser.rows(PAGES)] == ["b"]
            session.add(Page(id=3, project_id=5))
            session.commit()
            assert [change["id"] for change in browser.next_commit()] == ["3"]
            browser.close()
    with shop.sessions() as after:
        assert [page.title for page in after.query(Page)] == ["first"]


def test_reading_rows_leaves_an_open_savepoint_alone(shop: Shop, client: Make) -> None:
    with create_savepoint(shop) as (connection, session):
        session.add(Page(id=2, project_id=5))
        session.flush()
        client(shop, connection=connection).subscribe(PAGES)
        session.rollback()
        assert session.get(Page, 2) is None
        browser = client(shop, connection=connection)
        assert browser.subscribe(PAGES) == [FIRST]
        with session.begin_nested():
            session.add(Page(id=3, project_id=5))
            session.flush()
            browser.rows(PAGES)
        session.commit()
        assert [change["id"] for change in browser.next_commit()] == ["3"]


def test_a_connection_that_rows_cannot_be_read_on(small: Shop) -> None:
    with pytest.raises(BadSetting, match="none of asyncio's"):
        RealtimeClient(small.realtime, connection=Session())  # type: ignore[arg-type]
