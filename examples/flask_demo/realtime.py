"""All that makes the pages live: which columns leave the house, to which channel, and who may join it."""

from __future__ import annotations

from pydantic import BaseModel

from examples.flask_demo.models import Page, User, db
from sqla_realtime import Identity, Realtime

# The log is in the database: whichever process commits, the broadcaster hears of it.
realtime = Realtime(broker="database")


class PageOut(BaseModel):
    """What a browser may see of a Page. private_notes is not here, so it is never sent."""

    id: int
    project_id: int
    position: int
    title: str
    edited_by: str


class Profile(BaseModel):
    """What those who have a project open may see of each other."""

    name: str


class Typing(BaseModel):
    """Somebody writes a title. Nothing of it is said."""


realtime.publish(Page, schema=PageOut, channel="projects/{project_id}/pages")
# The same for the page of Spine, by the name that the clients of Juggernaut and of Pusher know it by.
realtime.publish(Page, schema=PageOut, channel="shared", where=Page.project_id == 1, alias="/observer")


@realtime.identify
def user_of(identity: Identity) -> User | None:
    """Flask's session cookie says who it is; this turns it into our own User."""
    return db.session.get(User, int(identity.id))


@realtime.channel("projects/{project_id}/pages", presence=Profile, events={"typing": Typing})
def may_join(user: User | None, project_id: int) -> bool:
    """Members only. Whoever is refused learns nothing, not even whether the project exists."""
    return user is not None and user.can_read(project_id)


@realtime.channel("shared")
def may_share(user: User | None) -> bool:
    """Members of the project that these pages are of."""
    return may_join(user, 1)
