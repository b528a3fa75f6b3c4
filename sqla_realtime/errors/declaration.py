"""What publish(), channel() and enable() raise: the mistake is in the application's code."""

from __future__ import annotations

from sqla_realtime.errors.base import RealtimeError


class DeclarationError(RealtimeError):
    """A declaration that cannot be kept; raised where it is written, before anything is published."""


class NotMapped(DeclarationError):
    """publish() was given something that SQLAlchemy does not map."""

    code = "not-mapped"
    message = "publish({model!r}): this is not a mapped class."
    fix = "Pass the model class itself, after its mapping is complete."


class SchemaMissing(DeclarationError):
    """publish() was called without schema=; the draft leaves out what looks secret."""

    code = "no-schema"
    message = "publish({model}) needs schema=: without one, every column would leave the house."
    fix = "Start from this draft and delete what a browser must not see:\n\n{draft}"


class SchemaMismatch(DeclarationError):
    """A field of the schema names no attribute of the model."""

    code = "schema-mismatch"
    message = "{schema}.{field} reads {model}.{attribute}, which does not exist (there are: {attributes})."
    fix = "Rename the field, or give it validation_alias= with the attribute's name."


class SchemaUnsendable(DeclarationError):
    """The schema can produce what strict JSON, or a live record, cannot carry."""

    code = "schema-unsendable"
    message = "{schema}: {reason}"
    fix = "{remedy}"


class SecretColumn(DeclarationError):
    """A published column's name looks like a secret."""

    code = "secret-column"
    message = "{schema}.{field} would send {model}.{attribute}, whose name looks like a secret."
    fix = 'Remove the field. If it is meant to be seen: publish(..., expose=["{field}"]).'


class BadPattern(DeclarationError):
    """A channel pattern that cannot be parsed, or whose names could not be told apart again."""

    code = "bad-pattern"
    message = "Channel pattern {pattern!r}: {reason}."
    fix = 'Patterns look like "projects/{{project_id}}/pages"; letters, digits and _ . ~ - : / around placeholders.'


class UnknownPlaceholder(DeclarationError):
    """A placeholder that names no column attribute of the model."""

    code = "unknown-placeholder"
    message = "Channel pattern {pattern!r}: {model} has no column attribute {placeholder!r} (there are: {attributes})."
    fix = "A placeholder is an attribute of the row; rename it."


class BadParameterType(DeclarationError):
    """A placeholder whose column's type has no canonical text."""

    code = "bad-parameter-type"
    message = "Channel pattern {pattern!r}: {model}.{placeholder} is {type}, which can't be a channel parameter."
    fix = "Parameters are int, str, bool, UUID, date or Enum columns."


class BadWhere(DeclarationError):
    """A where= whose answer in Python could differ from the database's."""

    code = "bad-where"
    message = "publish({model}, where={clause}): {reason}."
    fix = (
        "Use columns of {model} with ==, !=, in_(), is_(None), is_(True) or is_(False); <, <=, >, >= and between() on "
        "numbers and dates; and_(), or_() and ~. For anything else store the answer in a column of its own."
    )


class BadRoute(DeclarationError):
    """A route= without what it needs, or what it needs without a route=."""

    code = "bad-route"
    message = "publish({model}, channel={pattern!r}): {reason}."
    fix = "A route takes parameters= (their types), reads= (the attributes it looks at) and select= (the snapshot's SELECT)."


class OverlappingPatterns(DeclarationError):
    """Two patterns that could name the same channel under different rules."""

    code = "overlapping-patterns"
    message = "Channel patterns {pattern!r} and {other!r} can name the same channel, so its rule would be a guess."
    fix = "Give one of them a prefix of its own, or write the same pattern in both places."


class PublishedTwice(DeclarationError):
    """The same model on the same pattern again, or a model and its ancestor: each row would be told twice."""

    code = "published-twice"
    message = "{model} is already published on {pattern!r}."
    fix = "One publication per model and pattern: remove one, or choose another pattern for the second schema."


class BadRule(DeclarationError):
    """A channel rule whose parameters are not the user and the pattern's placeholders."""

    code = "bad-rule"
    message = "The rule {rule} for {pattern!r} takes ({takes}), but it is called with ({wants})."
    fix = "Write it as: def {rule}({wants}) -> bool"


class RuleTwice(DeclarationError):
    """A second rule for a pattern that has one."""

    code = "rule-twice"
    message = "The channel pattern {pattern!r} already has a rule."
    fix = "Keep one: either join= in publish(), or one function under @realtime.channel({pattern!r})."


class BadPresence(DeclarationError):
    """A presence= that cannot say what the members of a channel are shown of each other."""

    code = "bad-presence"
    message = "channel({pattern!r}, presence={presence!r}): {reason}."
    fix = (
        "Write the fields that the others may see of a user: class Profile(BaseModel): name: str. They are read from the "
        "user's attributes, which may be properties."
    )


class BadEvent(DeclarationError):
    """An events= with a name, or with data, that no client could send."""

    code = "bad-event"
    message = "channel({pattern!r}, events={events!r}): {reason}."
    fix = 'Name each event and the Pydantic model of its data: events={{"typing": Typing}}.'


class NotEnableable(DeclarationError):
    """enable() was given something that makes no Sessions."""

    code = "not-enableable"
    message = "enable({target!r}): this makes no SQLAlchemy Sessions."
    fix = (
        "Pass a sessionmaker, scoped_session, async_sessionmaker, a Session or an instance, a subclass of AsyncSession or an "
        "instance, or Flask-SQLAlchemy's db."
    )


class NotWatchable(DeclarationError):
    """A table that triggers can't write into the log."""

    code = "not-watchable"
    message = "{model} can't be watched: {reason}."
    fix = "{remedy}"
