"""Who is subscribed to what in this process, and what each of them is sent. Loop thread only; no sockets, no database."""
