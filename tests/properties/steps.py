"""Everything a transaction can be made of, as steps that mean something in any order: each takes three small numbers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, case, delete, func, insert, inspect, literal, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from tests.properties.actor import Actor, step
from tests.properties.models import (
    MODELS,
    NUMBERS,
    PLACES,
    TEXTS,
    Animal,
    Base,
    Book,
    Cell,
    Comment,
    Dog,
    Item,
    Mark,
    Node,
    Page,
    Project,
    Team,
)

WORDS = ("a", "b", "c")
TRUTHS = (True, False, None)
# Whose key may change, with others that follow.
REKEYED = (Cell, Project, Team, Page, Node, Item, Dog, Comment)
MOVED = list(PLACES)
FLAT = [each for each in MODELS if each not in (Animal, Dog, Item, Book)]


def place(actor: Actor, model: type[Base], choice: int) -> int | None:
    """A value for the attribute that decides the channel of a model's rows."""
    _, parent = PLACES[model]
    if choice % 5 == 0:
        return None
    return 1 + choice % 3 if parent is None else actor.key(parent, choice)


def values(actor: Actor, model: type[Base], a: int, b: int) -> dict[str, Any]:
    """What a new row has besides its key."""
    made: dict[str, Any] = {TEXTS[model]: WORDS[a % 3]}
    if model in PLACES:
        made[PLACES[model][0]] = place(actor, model, b)
    if model in NUMBERS:
        made[NUMBERS[model]] = 1 + (a + b) % 3
    if model is Page:
        made["published"] = TRUTHS[b % 3]
    if model is Mark and b % 3:
        with actor.use().no_autoflush:
            cells = actor.use().execute(select(Cell.x, Cell.y).order_by(Cell.x, Cell.y)).all()
        made |= dict(zip(("x", "y"), cells[a % len(cells)], strict=True)) if cells else {}
    return made


def key(actor: Actor, model: type[Base], choice: int) -> dict[str, int]:
    """A key that is given: a new one most of the time, sometimes one that may be taken."""
    if model is Cell:
        return {"x": 1 + choice % 4, "y": actor.world.fresh() if choice % 3 else 1 + choice % 2}
    return {"id": actor.world.fresh() if choice % 3 else 1 + choice % 6}


@step(10)
def add(actor: Actor, a: int, b: int, c: int) -> None:
    model = MODELS[a % len(MODELS)]
    # A row that becomes another class leaves doubt, so a class of several gets keys that no other had.
    choice = c if model in FLAT else 3 * c + 1
    given = {} if choice % 4 == 0 and model in FLAT and model is not Cell else key(actor, model, choice)
    actor.kept.append(model(**given, **values(actor, model, b, c)))
    actor.use().add(actor.kept[-1])


@step(10)
def again(actor: Actor, a: int, b: int, c: int) -> None:
    """Something else happens to one of the objects that were there last."""
    session = actor.use()
    kept = [each for each in actor.kept[-4:] if each in session and inspect(each).persistent]
    if not kept:
        return
    target = kept[a % len(kept)]
    model = type(target)
    match b % 4:
        case 0:
            actor.bounded(model)
            session.delete(target)
        case 1 if model in PLACES:
            setattr(target, PLACES[model][0], place(actor, model, c))
        case _:
            getattr(target, TEXTS[model])
            actor.note(target, TEXTS[model])
            setattr(target, TEXTS[model], WORDS[c % 3])


@step(4)
def add_child(actor: Actor, a: int, b: int, c: int) -> None:
    if a % 2:
        parent, child = actor.pick(Project, b), Page(id=actor.world.fresh(), title=WORDS[c % 3], published=TRUTHS[c % 3])
        if parent is not None:
            parent.pages.append(child)
    else:
        parent, remark = actor.pick(Page, b), Comment(id=actor.world.fresh(), text=WORDS[c % 3])
        if parent is not None:
            parent.comments.append(remark)


@step(12)
def write(actor: Actor, a: int, b: int, c: int) -> None:
    model = MODELS[a % len(MODELS)]
    target = actor.pick(model, b)
    if target is None:
        return
    name = NUMBERS[model] if model in NUMBERS and c % 2 else TEXTS[model]
    if model is Page and c % 3 == 0:
        name = "published"
    # Read first, so that what it was is known.
    getattr(target, name)
    actor.note(target, name)
    options: Any = {"published": TRUTHS}.get(name, WORDS if name == TEXTS[model] else (1, 2, 3))
    setattr(target, name, options[c // 3 % 3])


@step(3)
def write_blindly(actor: Actor, a: int, b: int, c: int) -> None:
    """An attribute that was never loaded."""
    model = MODELS[a % len(MODELS)]
    target = actor.pick(model, b)
    if target is not None and inspect(target).persistent:
        actor.exact = False
        actor.use().expire(target)
        setattr(target, TEXTS[model], WORDS[c % 3])


@step(3)
def compute(actor: Actor, a: int, b: int, c: int) -> None:
    """A SQL expression: what it was is not known afterwards."""
    actor.exact = False
    if a % 3 == 0:
        target = actor.pick(Page, b)
        if target is not None:
            target.size = func.coalesce(Page.size, 0) + c % 2
    elif a % 3 == 1:
        target = actor.pick(Cell, b)
        if target is not None:
            target.grid = Cell.grid + c % 2
    else:
        target = actor.pick(Page, b)
        if target is not None:
            target.published = case((Page.size > c % 3, True), else_=False)


@step(8)
def move(actor: Actor, a: int, b: int, c: int) -> None:
    model = MOVED[a % len(MOVED)]
    target = actor.pick(model, b)
    if target is not None:
        setattr(target, PLACES[model][0], place(actor, model, c))


@step(3)
def move_child(actor: Actor, a: int, b: int, c: int) -> None:
    """By the relation: to another parent, or to none."""
    if a % 2:
        page = actor.pick(Page, b)
        if page is not None:
            page.project = actor.pick(Project, c) if c % 5 else None
    else:
        comment = actor.pick(Comment, b)
        if comment is not None:
            comment.page = actor.pick(Page, c)


@step(3)
def orphan(actor: Actor, a: int, b: int, c: int) -> None:
    owner = actor.pick(Project if a % 2 else Page, b)
    children = [] if owner is None else owner.pages if a % 2 else owner.comments
    if children:
        children.pop(c % len(children))


@step(8)
def remove(actor: Actor, a: int, b: int, c: int) -> None:
    model = MODELS[a % len(MODELS)]
    target = actor.pick(model, b)
    if target is not None and inspect(target).persistent:
        actor.bounded(model)
        actor.use().delete(target)


@step(3)
def remove_several(actor: Actor, a: int, b: int, c: int) -> None:
    model = MODELS[a % len(MODELS)]
    actor.bounded(model)
    for target in actor.objects(model, b)[: 1 + c % 3]:
        if inspect(target).persistent:
            actor.use().delete(target)


@step(4)
def rekey(actor: Actor, a: int, b: int, c: int) -> None:
    model = REKEYED[a % len(REKEYED)]
    target = actor.pick(model, b)
    if target is None or not inspect(target).persistent:
        return
    actor.exact = False
    actor.bounded(model)
    # As in add: a class of several takes no key that another may have had.
    for name, value in key(actor, model, c if model in FLAT else 3 * c + 1).items():
        setattr(target, name, value)


@step(3)
def switch(actor: Actor, a: int, b: int, c: int) -> None:
    """An object goes and another takes its row, in one flush or in two."""
    model = MODELS[a % len(MODELS)]
    target = actor.pick(model, b)
    if target is None or not inspect(target).persistent:
        return
    actor.exact = False
    actor.bounded(model)
    session = actor.use()
    identity = inspect(target).identity
    if c % 7:
        model = type(target)
    else:
        actor.doubt(model)
    session.delete(target)
    if c % 3 == 0:
        session.flush()
    names = [column.key for column in model.__mapper__.primary_key]  # type: ignore[attr-defined]
    with session.no_autoflush:
        session.add(model(**dict(zip(names, identity, strict=True)), **values(actor, model, b, c)))


@step(2)
def merge(actor: Actor, a: int, b: int, c: int) -> None:
    # What SQLAlchemy makes of an object merged into one of another class is not ours to say.
    model = FLAT[a % len(FLAT)]
    actor.exact = False
    actor.use().merge(model(**key(actor, model, c * 3), **values(actor, model, b, c)))


@step(6)
def flush(actor: Actor, a: int, b: int, c: int) -> None:
    actor.use().flush()


@step(2)
def expire(actor: Actor, a: int, b: int, c: int) -> None:
    if a % 2:
        actor.use().expire_all()
    else:
        target = actor.pick(MODELS[b % len(MODELS)], c)
        if target is not None and inspect(target).persistent:
            actor.use().refresh(target)


@step(2)
def forget(actor: Actor, a: int, b: int, c: int) -> None:
    """Nothing but the Session remembers its objects; or not even that."""
    actor.kept.clear()
    if a % 2:
        actor.use().expunge_all()


@step(8)
def savepoint(actor: Actor, a: int, b: int, c: int) -> None:
    if len(actor.nested) < 4:
        actor.nested.append(actor.use().begin_nested())


@step(5)
def release(actor: Actor, a: int, b: int, c: int) -> None:
    """Of any savepoint; the later ones go with it."""
    if actor.nested:
        index = len(actor.nested) - 1 - a % len(actor.nested) * (b % 2)
        ended, actor.nested = actor.nested[index], actor.nested[:index]
        ended.commit()


@step(6)
def rollback_savepoint(actor: Actor, a: int, b: int, c: int) -> None:
    if actor.nested:
        index = len(actor.nested) - 1 - a % len(actor.nested) * (b % 2)
        ended, actor.nested = actor.nested[index], actor.nested[:index]
        if c % 3:
            ended.rollback()
        else:
            ended.close()


@step(14)
def commit(actor: Actor, a: int, b: int, c: int) -> None:
    # Of everything: savepoints that are open are released by it.
    actor.nested = []
    actor.use().commit()


@step(3)
def rollback(actor: Actor, a: int, b: int, c: int) -> None:
    actor.use().rollback()
    actor.renew()


@step(1)
def close(actor: Actor, a: int, b: int, c: int) -> None:
    session = actor.use()
    if actor.outer is None:
        (session.close, session.reset, session.invalidate)[a % 3]()
        actor.renew()


@step(2)
def join(actor: Actor, a: int, b: int, c: int) -> None:
    """A Session that somebody else's transaction contains, in every mode."""
    actor.open(a % 4, bool(b % 2))


@step(1)
def open_plainly(actor: Actor, a: int, b: int, c: int) -> None:
    actor.open(-1, bool(a % 3 == 0))


@step(3)
def core_savepoint(actor: Actor, a: int, b: int, c: int) -> None:
    if actor.outer is not None and actor.root is not None and actor.root.is_active and len(actor.points) < 3:
        actor.points.append(actor.outer.begin_nested())


@step(2)
def core_release(actor: Actor, a: int, b: int, c: int) -> None:
    if actor.points:
        actor.points.pop().commit()


@step(2)
def core_rollback(actor: Actor, a: int, b: int, c: int) -> None:
    if actor.points:
        actor.points.pop().rollback()


@step(7)
def outer_commit(actor: Actor, a: int, b: int, c: int) -> None:
    """The outer transaction ends well, with the Session's part committed before, or given up."""
    if actor.root is None or actor.session is None:
        return
    actor.nested = []
    if a % 4:
        actor.session.commit()
    actor.session.close()
    if actor.root.is_active:
        actor.root.commit()


@step(2)
def outer_rollback(actor: Actor, a: int, b: int, c: int) -> None:
    if actor.root is not None and actor.session is not None:
        actor.session.commit()
        actor.leave()


def where(model: type[Base], choice: int) -> list[Any]:
    """A WHERE of a bulk statement."""
    keys = model.__mapper__.primary_key  # type: ignore[attr-defined]
    match choice % 4:
        case 0:
            return [getattr(model, TEXTS[model]) == WORDS[choice // 4 % 3]]
        case 1:
            return [keys[0] <= 1 + choice // 4 % 3]
        case 2 if model in PLACES:
            return [getattr(model, PLACES[model][0]) == 1 + choice // 4 % 2]
    return [keys[0] == 1 + choice // 4 % 4]


def assigned(actor: Actor, model: type[Base], choice: int) -> dict[str, Any]:
    """A SET of a bulk statement."""
    match choice % 5:
        case 0 if model in PLACES:
            return {PLACES[model][0]: place(actor, model, choice // 5)}
        case 1 if model is Page:
            return {"published": TRUTHS[choice // 5 % 3]}
        case 2 if model in NUMBERS:
            name = NUMBERS[model]
            return {name: getattr(model, name) + choice // 5 % 2}
    return {TEXTS[model]: WORDS[choice // 5 % 3]}


@step(6)
def bulk_update(actor: Actor, a: int, b: int, c: int) -> None:
    # Joined inheritance has no UPDATE of both tables at once.
    model = [each for each in MODELS if each is not Dog][a % (len(MODELS) - 1)]
    actor.bounded(model)
    statement = update(model).where(*where(model, b)).values(assigned(actor, model, c))
    options = {"synchronize_session": ("auto", "fetch", "evaluate", False)[(a + b + c) % 4]}
    if (a + c) % 5 == 0:
        statement = statement.returning(*model.__mapper__.primary_key)  # type: ignore[attr-defined,assignment]
    actor.use().execute(statement, execution_options=options)


@step(4)
def bulk_delete(actor: Actor, a: int, b: int, c: int) -> None:
    model = [each for each in MODELS if each is not Dog][a % (len(MODELS) - 1)]
    actor.bounded(model)
    options = {"synchronize_session": ("auto", "fetch", "evaluate", False)[c % 4]}
    actor.use().execute(delete(model).where(*where(model, b)), execution_options=options)


@step(3)
def legacy(actor: Actor, a: int, b: int, c: int) -> None:
    model = [each for each in MODELS if each is not Dog][a % (len(MODELS) - 1)]
    actor.bounded(model)
    query = actor.use().query(model).filter(*where(model, b))
    if c % 3:
        query.update(assigned(actor, model, c), synchronize_session=(False, "fetch")[a % 2])
    else:
        query.delete(synchronize_session=(False, "fetch")[a % 2])


@step(4)
def core(actor: Actor, a: int, b: int, c: int) -> None:
    """UPDATE and DELETE of tables, through the Session or past it."""
    model = MODELS[a % len(MODELS)]
    actor.bounded(model)
    table: Any = model.__table__  # type: ignore[attr-defined]
    number = table.c.x if model is Cell else table.c.id
    statement: Any
    # Half a row of joined inheritance is no row of any class.
    if c % 3 == 0 and model is not Dog:
        statement = table.delete().where(number == 1 + b % 4)
    elif model is Dog:
        statement = table.update().where(number == 1 + b % 4).values(tricks=1 + c % 3)
    else:
        name = PLACES[model][0] if model in PLACES and c % 2 else TEXTS[model]
        value = place(actor, model, c // 6) if name != TEXTS[model] else WORDS[c // 6 % 3]
        statement = table.update().where(number <= 1 + b % 4).values({name: value})
    if b % 2:
        actor.use().execute(statement)
    else:
        actor.use().connection().execute(statement)


@step(2)
def core_many(actor: Actor, a: int, b: int, c: int) -> None:
    """One statement for several sets of values."""
    actor.bounded(Page)
    table: Any = Page.__table__
    rows = [{"which": 1 + (b + each) % 4, "what": WORDS[(c + each) % 3]} for each in range(2)]
    if a % 3 == 0:
        actor.use().connection().execute(table.delete().where(table.c.id == bindparam("which")), rows)
    else:
        statement = table.update().where(table.c.id == bindparam("which")).values(title=bindparam("what"))
        actor.use().connection().execute(statement, rows)


@step(2)
def by_key(actor: Actor, a: int, b: int, c: int) -> None:
    """Bulk UPDATEs that name their rows by key."""
    model = (Page, Project, Node, Item, Team)[a % 5]
    actor.bounded(model)
    rows = [{"id": 1 + (b + each) % 4, **assigned_plainly(actor, model, c + each)} for each in range(2)]
    if c % 2:
        actor.use().execute(update(model), rows)
    else:
        actor.use().bulk_update_mappings(inspect(model), rows)


def assigned_plainly(actor: Actor, model: type[Base], choice: int) -> dict[str, Any]:
    return {TEXTS[model]: WORDS[choice % 3]} | ({"version": 1} if model is Item else {})


@step(4)
def insert_rows(actor: Actor, a: int, b: int, c: int) -> None:
    """INSERTs that bring their keys."""
    model = FLAT[a % len(FLAT)]
    actor.bounded(model)
    rows = [{**key(actor, model, b + each), **values(actor, model, c, b)} for each in range(1 + c % 2)]
    match (a + c) % 4:
        case 0:
            actor.use().execute(insert(model), rows)
        case 1:
            actor.use().bulk_insert_mappings(inspect(model), rows)
        case 2:
            actor.use().bulk_save_objects([model(**row) for row in rows])
        case 3:
            actor.use().connection().execute(model.__table__.insert(), rows)  # type: ignore[attr-defined]


@step(3)
def upsert(actor: Actor, a: int, b: int, c: int) -> None:
    model = (Page, Project, Cell, Node, Team, Comment)[a % 6]
    actor.bounded(model)
    dialect: Any = postgresql if actor.world.postgres else sqlite
    keys = [column.key for column in model.__mapper__.primary_key]  # type: ignore[attr-defined]
    rows = [{**key(actor, model, (b + each) * 3), **values(actor, model, c, b)} for each in range(1 + c % 2)]
    statement = dialect.insert(model)
    name = PLACES[model][0] if model in PLACES and c % 3 else TEXTS[model]
    if b % 3 == 0:
        statement = statement.on_conflict_do_nothing(index_elements=keys if b % 2 else None)
    elif b % 3 == 1:
        statement = statement.on_conflict_do_update(index_elements=keys, set_={name: statement.excluded[name]})
    else:
        column = getattr(model, TEXTS[model])
        statement = statement.on_conflict_do_update(
            index_elements=keys, set_={name: statement.excluded[name]}, where=column == WORDS[b // 3 % 3]
        )
    actor.use().execute(statement, rows)


@step(2)
def unfollowed(actor: Actor, a: int, b: int, c: int) -> None:
    """What leaves its table's channels in doubt, by the documentation."""
    model = (Page, Project, Node, Item, Cell, Animal)[a % 6]
    actor.doubt(model)
    session = actor.use()
    table: Any = model.__table__  # type: ignore[attr-defined]
    match b % 6:
        case 0:
            session.execute(text(f"UPDATE {table.name} SET {TEXTS[model]} = 'b'"))  # noqa: S608
        case 1:
            number = table.primary_key.columns[0].name
            session.connection().exec_driver_sql(f"DELETE FROM {table.name} WHERE {number} = {c % 4}")  # noqa: S608
        case 2:
            actor.doubt(Page)
            session.execute(insert(Page), [{"title": WORDS[c % 3], "published": True}, {"title": "c", "published": None}])
        case 3:
            column = Cell.y if model is Cell else model.__mapper__.primary_key[0]  # type: ignore[attr-defined]
            session.execute(update(model).where(column == 1 + c % 4).values({column.key: actor.world.fresh()}))
        case 4:
            actor.doubt(Team)
            session.execute(insert(Team).from_select(["name"], select(literal("b"))))
        case 5 if actor.world.postgres:
            actor.doubt(Project)
            session.execute(select(update(Project).values(name=WORDS[c % 3]).returning(Project.id).cte("c")))


@step(1)
def interest(actor: Actor, a: int, b: int, c: int) -> None:
    """A pattern's only reader leaves, or comes."""
    actor.world.toggle(actor.world.patterns[a % len(actor.world.patterns)])
