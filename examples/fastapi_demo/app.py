"""The routes: a page, and writes through the ORM. No route tells a browser what changed: the commit does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from examples import flask_demo
from examples.common import secret_in
from examples.fastapi_demo.live import NoteOut, realtime
from examples.fastapi_demo.models import FOLDER, Note, Session
from sqla_realtime.integrations.asgi import OwnWrites, lifespan

HERE = Path(__file__).parent
USERS = {1: "Ada", 2: "Grace"}

app = FastAPI(title="Live notes", lifespan=lifespan(realtime))  # the broadcaster runs while the application does
app.add_middleware(OwnWrites, realtime=realtime)  # a page knows its own commits
# Cookies know no ports, so the name has to tell two demos apart.
app.add_middleware(SessionMiddleware, secret_key=secret_in(FOLDER), session_cookie=f"notes_{os.environ.get('PORT', '5000')}")
app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
# The looks are those of the other example.
app.mount("/shared", StaticFiles(directory=Path(flask_demo.__path__[0]) / "static"))
app.mount("/static", StaticFiles(directory=HERE / "static"))


class SignIn(BaseModel):
    """Who somebody is. A click is enough here."""

    user: int


class Token(BaseModel):
    """Who somebody is, and what proves it for ten minutes."""

    user: int | None
    token: str | None


class NoteIn(BaseModel):
    """What a browser may say of a note."""

    title: Annotated[str, Field(min_length=1, max_length=120, pattern=r"\S")]


async def visitor(request: Request) -> int | None:
    """Who the session cookie says it is, if anybody."""
    user = request.session.get("user")
    return user if user in USERS else None


async def current_user(user: Annotated[int | None, Depends(visitor)]) -> int:
    """Somebody who is signed in."""
    if user is None:
        raise HTTPException(401, "Sign in first.")
    return user


async def database() -> AsyncIterator[AsyncSession]:
    """A Session for each request."""
    async with Session() as session:
        yield session


User = Annotated[int, Depends(current_user)]
Database = Annotated[AsyncSession, Depends(database)]


async def note_of(note_id: int, session: Database) -> Note:
    """The note that a path names."""
    note = await session.get(Note, note_id) if note_id < 2**31 else None
    if note is None:
        raise HTTPException(404, "This note is gone.")
    return note


@app.get("/")
async def page() -> FileResponse:
    """It holds no rows: they come through the channel."""
    return FileResponse(HERE / "page.html")


@app.get("/realtime/{file}")
async def client(request: Request) -> RedirectResponse:
    """The client is loaded from the broadcaster, and connects to where it was loaded from."""
    return RedirectResponse(f"http://{request.url.hostname}:{realtime.port}{request.url.path}")


@app.post("/session", status_code=204)
async def sign_in(who: SignIn, request: Request) -> None:
    """Leave a user in the session."""
    if who.user not in USERS:
        raise HTTPException(400, "There is no such user.")
    request.session["user"] = who.user


@app.post("/token")
async def token(user: Annotated[int | None, Depends(visitor)]) -> Token:
    """The browser shows it to the broadcaster, and fetches another one before it ends."""
    return Token(user=user, token=None if user is None else realtime.token(user, expires_in=600))


@app.post("/notes", status_code=201)
async def add(new: NoteIn, user: User, session: Database) -> NoteOut:
    """A new note."""
    name = USERS[user]
    note = Note(title=new.title.strip(), edited_by=name, private_notes=f"For {name} alone: written in the demo.")
    session.add(note)
    await session.commit()  # every open page has the row now
    return NoteOut.model_validate(note)


@app.patch("/notes/{note_id}")
async def rename(new: NoteIn, user: User, note: Annotated[Note, Depends(note_of)], session: Database) -> NoteOut:
    """A new title."""
    note.title, note.edited_by, note.worker = new.title.strip(), USERS[user], os.getpid()
    await session.commit()
    return NoteOut.model_validate(note)


@app.delete("/notes/{note_id}", status_code=204)
async def delete(user: User, note: Annotated[Note, Depends(note_of)], session: Database) -> Response:
    """Away with it."""
    await session.delete(note)
    await session.commit()
    return Response(status_code=204)
