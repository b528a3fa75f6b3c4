"""Runnable examples; see the README of the project, or start one: python -m examples.flask_demo."""
