"""Settings: argument over app config over environment; what cannot be is refused by name, without showing values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sqla_realtime.errors import BadSetting, WeakSecret
from sqla_realtime.history import Bounds
from sqla_realtime.protocol.reports import REPORTS
from sqla_realtime.settings import Settings

SECRET = "s" * 32


def load(arguments: dict[str, Any] | None = None, config: Any = None, environ: dict[str, str] | None = None) -> Settings:
    return Settings.load(arguments or {}, config, environ or {})


def refusal(*sources: Any) -> BadSetting:
    with pytest.raises(BadSetting) as caught:
        load(*sources)
    return caught.value


def test_the_defaults_suit_one_process_on_one_machine() -> None:
    settings = load()
    assert (settings.host, settings.port, settings.base) == ("127.0.0.1", 8765, "/realtime")
    assert settings.secret is None
    assert settings.development is None
    assert settings.allowed_origins == settings.allowed_hosts == ()


def test_an_argument_wins_over_config_and_that_over_the_environment() -> None:
    environ = {"REALTIME_PORT": "1", "REALTIME_HOST": "h1", "REALTIME_BASE": "/b1"}
    config = {"REALTIME_PORT": 2, "REALTIME_HOST": "h2"}
    settings = load({"port": 3}, config, environ)
    assert (settings.port, settings.host, settings.base) == (3, "h2", "/b1")


def test_an_argument_wins_also_when_it_is_the_default() -> None:
    assert load({"port": 8765}, {"REALTIME_PORT": 2}).port == 8765
    assert load({"secret": None}, None, {"REALTIME_SECRET": SECRET}).secret is None


def test_the_real_environment_is_read_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALTIME_PORT", "4321")
    assert Settings.load({}).port == 4321


def test_names_are_lists_or_text_with_commas() -> None:
    origins = ("https://a.example", "https://b.example:8443")
    assert (
        load(None, None, {"REALTIME_ALLOWED_ORIGINS": " https://a.example, https://b.example:8443, "}).allowed_origins
        == origins
    )
    assert load({"allowed_origins": list(origins)}).allowed_origins == origins
    assert load({"allowed_hosts": ""}).allowed_hosts == ()


@pytest.mark.parametrize(("text", "value"), [("1", True), ("true", True), ("0", False), ("off", False)])
def test_the_environment_spells_truth(text: str, value: bool) -> None:
    assert load(None, None, {"REALTIME_DEVELOPMENT": text}).development is value


def test_an_unknown_argument_is_refused_with_the_nearest_name() -> None:
    error = refusal({"prot": 1})
    assert "prot from Realtime()" in str(error)
    assert "Did you mean 'port'?" in str(error)
    assert "Known: broker, host, port" in str(refusal({"zzzzzz": 1}))


def test_an_unknown_name_in_the_config_is_refused_in_the_environment_not() -> None:
    error = refusal(None, {"REALTIME_PROT": 1})
    assert "Setting REALTIME_PROT from app.config" in str(error)
    assert load(None, {"OTHER": 1}, {"REALTIME_PROT": "1"}) == load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 65536), ("port", -1), ("port", "x"), ("host", 5), ("base", "realtime"), ("base", "/a/"), ("base", "/"),
        ("base", "/a b"), ("base", "/(x)"), ("hello_timeout", 0), ("hello_timeout", "inf"), ("ping_interval", float("nan")),
        ("max_message", 0), ("history_count", -5), ("snapshot_threads", 0), ("algorithm", "none"), ("algorithm", "RS256"),
        ("development", "maybe"), ("queue_bytes", 1.5), ("commit_patience", "soon"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_names_the_setting_and_its_source(name: str, value: Any) -> None:
    error = refusal(None, {f"REALTIME_{name.upper()}": value})
    assert error.facts["name"] == name
    assert error.facts["source"] == f'app.config["REALTIME_{name.upper()}"]'
    assert "Its default is" in str(error)


def test_the_source_that_won_is_blamed() -> None:
    assert refusal({"port": -1}, {"REALTIME_PORT": 1}).facts["source"] == "Realtime(port=...)"
    assert refusal(None, None, {"REALTIME_PORT": "x"}).facts["source"] == "the environment variable REALTIME_PORT"


def test_a_weak_secret_is_refused_by_bytes() -> None:
    with pytest.raises(WeakSecret) as caught:
        load({"secret": "x" * 31})
    assert caught.value.facts == {"length": 31}
    assert load({"secret": "é" * 16}).secret == "é" * 16
    with pytest.raises(WeakSecret):
        load({"secret": ""})


def test_a_secret_is_never_shown() -> None:
    assert SECRET not in repr(load({"secret": SECRET}))
    error = refusal({"secret": [SECRET]})
    assert SECRET not in str(error)
    assert SECRET not in repr(error)


@pytest.mark.parametrize(
    "origin",
    ["app.example", "https://app.example/", "https://app.example/x", "ftp://app.example", "https://", "*", "null",
     "HTTPS://app.example", "https://app.example?x", "https://[::1", "http://[x]"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(origin: str) -> None:
    error = refusal({"allowed_origins": [origin]})
    assert repr(origin) in str(error)
    assert "scheme://host[:port]" in str(error)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1  # type: ignore[misc]


def test_the_bounds_of_the_past() -> None:
    settings = load({"history_count": 3, "history_bytes": 4, "history_age": 5})
    assert settings.bounds == Bounds(count=3, size=4, age=5.0)
    assert load().bounds == Bounds()


APP = {"key": "k", "secret": "s" * 16, "id": "1"}


def test_applications_of_pusher_are_json_in_the_environment() -> None:
    [app] = load({}, None, {"REALTIME_PUSHER": json.dumps([APP])}).pusher
    assert (app.key, app.id, app.client_events) == ("k", "1", False)
    assert "s" * 16 not in repr(load({"pusher": [APP]})) + repr(app)


@pytest.mark.parametrize(
    "value",
    [
        "nonsense", "{}", [{"key": "k", "id": "1"}], [APP | {"secret": "short"}], [APP | {"key": "a/b"}], [APP | {"other": 1}],
        [APP | {"id": REPORTS}], [APP, APP | {"id": "2"}], [APP, APP | {"key": "l"}],
    ],
)  # fmt: skip
def test_what_is_no_application(value: Any) -> None:
    found = str(refusal({"pusher": value}))
    assert "pusher" in found
    assert "s" * 16 not in found
    assert "short" not in found.replace("shorter", "")
