"""A table of pages that is live in every open window: Flask, Flask-SQLAlchemy, SQLite or PostgreSQL, and no build step
but for the page that shows it in other frameworks.

python -m examples.flask_demo
flask --app examples.flask_demo run --debug
gunicorn -w 1 'examples.flask_demo:create_app()'
"""

from examples.flask_demo.app import create_app

__all__ = ["create_app"]
