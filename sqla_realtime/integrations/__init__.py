"""How a Realtime lives with a web framework: configuration, identity, and the right moment to start."""
