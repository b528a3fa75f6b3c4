"""What a channel has besides rows: what its members are shown of each other, and what they may say, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import new_class
from typing import Any

from pydantic import BaseModel, RootModel
from pydantic_core import SchemaValidator

from sqla_realtime.errors import BadEvent, BadPresence
from sqla_realtime.schema.draft import looks_secret
from sqla_realtime.schema.record import Recorder
from sqla_realtime.schema.sendable import compiled

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")


class Assembly:
    """One pattern's, checked in full when it is declared. Any thread.

    ``shown`` are the fields that members see of each other, None where nobody is told who is there; ``events`` the names
    of what they may say.
    """

    def __init__(
        self, pattern: str, presence: type[BaseModel] | None = None, events: Mapping[str, type[BaseModel]] | None = None
    ) -> None:
        self._profile = None if presence is None else _profile(pattern, presence)
        self.shown: tuple[str, ...] | None = None if presence is None else tuple(_attributes(presence))
        if events is not None and not isinstance(events, Mapping):
            raise BadEvent(pattern=pattern, events=events, reason="it is no mapping of names to Pydantic models")
        self._events = {name: _Event(pattern, name, model) for name, model in (events or {}).items()}
        self.events: tuple[str, ...] = tuple(self._events)

    def profile(self, user: Any) -> str:
        """What others may see of a user, as JSON. Raises pydantic's errors where the user has it not."""
        assert self._profile is not None  # noqa: S101 - only asked where members are shown
        return self._profile.dump(user).decode()

    def event(self, name: str, data: str) -> str:
        """What is told of an event, whose data is JSON. Raises LookupError where nobody declared it, and pydantic's
        ValidationError."""
        return self._events[name].read(data)


class _Event:
    """One event's data."""

    def __init__(self, pattern: str, name: object, model: Any) -> None:
        facts = {"pattern": pattern, "events": {name: model}}
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BadEvent(**facts, reason=f"{name!r} is no name: a letter, then up to 63 letters, digits and _ . : -")
        if not _is_model(model):
            raise BadEvent(**facts, reason=f"{model!r} is no Pydantic model")
        exact = _exact(model)
        self._validator: SchemaValidator | Any = compiled(exact).validator
        self._recorder = Recorder(exact, (), frozenset())

    def read(self, data: str) -> str:
        return self._recorder.dump(self._validator.validate_json(data)).decode()


def _exact(model: type[BaseModel]) -> type[BaseModel]:
    """The same model, which refuses fields that it has not got, unless it says itself what is to become of them."""
    if issubclass(model, RootModel) or "extra" in model.model_config:
        return model
    names = {"__module__": model.__module__, "__doc__": model.__doc__}
    return new_class(model.__name__, (model,), {"extra": "forbid"}, lambda body: body.update(names))


def _profile(pattern: str, presence: Any) -> Recorder:
    facts = {"pattern": pattern, "presence": presence}
    if not _is_model(presence) or issubclass(presence, RootModel):
        raise BadPresence(**facts, reason="it is no Pydantic model with fields")
    # Names in annotations may have been defined later than the class; what is undefined is refused where it is compiled.
    presence.model_rebuild(raise_errors=False)
    for name, attribute in _attributes(presence).items():
        if looks_secret(name, attribute):
            raise BadPresence(**facts, reason=f"its field {name!r} looks like a secret")
    return Recorder(presence, {*presence.model_fields, *_attributes(presence).values()}, frozenset())


def _attributes(presence: type[BaseModel]) -> dict[str, str]:
    """Each field, as it is told, and the attribute of the user that it reads."""
    found = {}
    for name, info in presence.model_fields.items():
        alias = info.validation_alias or info.alias or name
        found[info.serialization_alias or name] = alias if isinstance(alias, str) else name
    return found | {field.alias or name: name for name, field in presence.model_computed_fields.items()}


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel
