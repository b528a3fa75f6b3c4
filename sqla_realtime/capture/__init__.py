"""What a transaction did to published rows: noticed in flushes, kept per savepoint, read and handed over at COMMIT."""
