"""What is measured: shapes of channels and connections at saturation and at a fifth of it, idle memory, coming back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.fanout.cell import bench
from benchmarks.fanout.servers import Server

Figures = dict[str, Any]
WARM = 0.3
# The share of the saturated rate at which latency is measured.
SHARE = 0.2
# How many seconds all have to come back within.
PATIENCE = 10


@dataclass(frozen=True)
class Shape:
    """So many channels, so many connections in all, and so many commits of one request, which fall into one loop turn.

    ``window`` is how many requests are under way: two of one channel keep the server busy and are never sent together.
    """

    channels: int
    connections: int
    window: int = 2
    burst: int = 1


SHAPES = {
    "1x100": Shape(1, 100),
    "1x1000": Shape(1, 1000),
    "1x10000": Shape(1, 10_000),
    "1000x10": Shape(1000, 10_000, window=250),
    "burst16": Shape(1, 1000, burst=16),
}
TITLES = {
    "1x100": "1 channel x 100 connections",
    "1x1000": "1 channel x 1,000 connections",
    "1x10000": "1 channel x 10,000 connections",
    "1000x10": "1,000 channels x 10 connections",
    "burst16": "16 commits in one loop turn, 1 channel x 1,000 connections",
    "idle": "5,000 connections: idle, then dropped at once",
}


def shape(server: Server, wanted: Shape, seconds: float) -> Figures:
    """Saturation, then latency at a fifth of the rate that was reached."""
    with bench(server, wanted.connections, wanted.channels) as running:
        running.connect(wanted.connections)
        full = running.ask(f"saturate {WARM} {seconds} {wanted.window} {wanted.burst}")
        rate = full["deliveries"] / full["seconds"]
        bursts = SHARE * rate / (wanted.connections / wanted.channels) / wanted.burst
        # Slow servers need longer for the same number of samples.
        longer = max(seconds, min(10 / bursts, 3 * seconds)) if bursts else seconds
        slow = running.ask(f"pace {WARM} {longer} {bursts:.4f} {wanted.burst}") if bursts else {}
        return {
            "deliveries": full["deliveries"],
            "rate": rate,
            "cpu": full["server_cpu"] / max(full["deliveries"], 1) * 1e6,
            "busy": full["server_cpu"] / full["seconds"],
            "generator_busy": full["own_cpu"] / full["seconds"],
            # A server that is too slow has no sample in time.
            "p50": slow.get("p50") or None,
            "p99": slow.get("p99") or None,
            "cut": slow.get("closed", full["closed"]),
        }


def idle(server: Server, connections: int = 5000) -> Figures:
    """Memory of connections that have joined a channel and hear nothing; then all are reset at once, and come back."""
    connections = min(connections, server.most)
    with bench(server, connections) as running:
        before = running.resident()
        running.connect(connections)
        # Longer than a loop turn, so that what the handshakes left is cleared away.
        running.ask("publish 0 1")
        after = running.resident()
        running.ask(f"drop {connections}")
        back = running.ask(f"connect {connections} {PATIENCE}")
        whole = back["live"] == connections
        return {
            "connections": connections,
            "kibibytes": (after - before) / connections / 1024,
            "seconds": back["seconds"],
            "whole": whole,
            "handshakes": back["live"] / back["seconds"],
            "handshake_cpu": back["server_cpu"] / connections * 1e6 if whole else None,
            "recovered": back["recovered"],
        }


def scenario(name: str) -> Callable[[Server, float], Figures]:
    """The measurement of a name."""
    if name == "idle":
        return lambda server, seconds: idle(server)
    return lambda server, seconds: shape(server, SHAPES[name], seconds)
