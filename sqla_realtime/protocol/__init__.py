"""How messages are spelled: PROTOCOL.md as code, without a socket in reach."""
