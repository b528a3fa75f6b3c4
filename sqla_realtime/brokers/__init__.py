"""The ordered log that carries commits from writers to broadcasters: one seam, one module per tier."""
