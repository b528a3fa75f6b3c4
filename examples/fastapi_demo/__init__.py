"""Notes that are live in every open window: FastAPI, SQLAlchemy with asyncio, several workers, SQLite, no build step.

python -m examples.fastapi_demo              makes the tables and starts two workers; WORKERS and PORT change that
uvicorn examples.fastapi_demo.app:app        one, where the tables are there

Read models.py, live.py and app.py, in this order.
"""
