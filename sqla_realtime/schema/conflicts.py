"""What two publications may not do to each other: mean two things by one channel's name, or by one class in it."""

from __future__ import annotations

from sqla_realtime.errors import BadPattern
from sqla_realtime.schema.publication import Publication


def check_types(publication: Publication, sibling: Publication) -> None:
    """Two models on one pattern must read its parameters alike, or one name would mean two things."""
    for placeholder, parameter in publication.parameters.items():
        other = sibling.parameters[placeholder].python_type
        if parameter.python_type is not other:
            reason = (
                f"{placeholder} is {parameter.python_type.__name__} in {publication.model.__name__} "
                f"but {other.__name__} in {sibling.model.__name__}"
            )
            raise BadPattern(pattern=publication.pattern.text, reason=reason)


def check_classes(publication: Publication, sibling: Publication) -> None:
    """Rows of two models in one channel are told apart by their class alone."""
    for cls in sorted(publication.classes & sibling.classes):
        reason = f"rows of {publication.model.__name__} and of {sibling.model.__name__} would both be of class {cls!r}"
        raise BadPattern(pattern=publication.pattern.text, reason=reason)


def check_aliases(publication: Publication, other: Publication) -> None:
    """Under one name a class means the rows of one publication."""
    mine, theirs = publication.alias, other.alias
    if mine is None or theirs is None or not (mine.text == theirs.text or mine.overlaps(theirs)):
        return
    for cls in sorted(publication.classes & other.classes):
        reason = f"as an alias of {publication.pattern.text!r} and of {other.pattern.text!r} it would have two kinds of {cls!r}"
        raise BadPattern(pattern=mine.text, reason=reason)
