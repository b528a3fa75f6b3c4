"""``python -m sqla_realtime`` is the ``sqla-realtime`` command."""

from sqla_realtime.cli import main

main()
