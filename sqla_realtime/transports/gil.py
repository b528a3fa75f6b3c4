"""A send that keeps the interpreter's lock, for as long as other threads compute.

``socket.send`` lets go of the lock and has to get it back. A thread that computes takes it in between and keeps it for a
switch interval, 5 ms by default: at every single send of a fan-out, which then takes seconds.
"""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Callable

Send = Callable[[socket.socket, bytes], int]


# The ordinary send of a socket, which does not block; not a function of its own, because it is called so often.
releasing: Send = socket.socket.send


def _find() -> Send:
    """The C library's, called without letting go of the lock; the ordinary one where there is none."""
    try:
        call = ctypes.PyDLL(None).send
        flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
    except (AttributeError, OSError, TypeError):
        return releasing
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
    call.restype = ctypes.c_ssize_t

    def keeping(to: socket.socket, data: bytes) -> int:
        sent: int = call(to.fileno(), data, len(data), flags)
        # What went wrong the ordinary one tells, if it goes wrong again.
        return sent if sent >= 0 else to.send(data)

    return keeping


# Costs a little more than the ordinary one, and may stand in for it everywhere: same result, same exceptions.
keeping: Send = _find()
