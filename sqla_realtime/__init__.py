"""SQLAlchemy models, live in every browser: the public names, loaded when they are first used."""

__version__ = "0.1.0"
