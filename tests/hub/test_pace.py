"""The bucket against a plain count of tokens, and the client that is lost after so many strikes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sqla_realtime.hub.pace import Bucket, Judgement, Pace, Rate


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def judged(pace: Pace, count: int) -> list[Judgement]:
    return [pace.judge() for _ in range(count)]


def test_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    bucket = Bucket(2.0, 3, clock)
    assert [bucket.take() for _ in range(5)] == [True, True, True, False, False]
    assert bucket.wait == 0.5
    clock.now += 0.5
    assert bucket.wait == 0.0
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.now += 100
    assert bucket.full
    assert [bucket.take() for _ in range(4)] == [True, True, True, False], "a pause saves up no more than a burst"
    assert not bucket.full


@given(st.integers(1, 5), st.integers(1, 6), st.lists(st.integers(0, 8), max_size=60))
def test_it_is_a_count_of_tokens(rate: int, burst: int, pauses: list[int]) -> None:
    clock = Clock()
    bucket, tokens = Bucket(float(rate), burst, clock), float(burst)
    for pause in pauses:
        clock.now += pause / 8
        tokens = min(float(burst), tokens + rate * pause / 8)
        assert abs(bucket.wait - max(0.0, (1 - tokens) / rate)) < 1e-6
        enough = tokens >= 1 - 1e-6
        assert bucket.take() is enough
        tokens -= enough


def test_a_client_that_goes_on_is_lost() -> None:
    clock = Clock()
    pace = Pace(Rate(1.0, 2, 3, clock))
    taken, refused, lost = Judgement.TAKEN, Judgement.REFUSED, Judgement.LOST
    assert judged(pace, 5) == [taken, taken, refused, refused, lost]
    assert judged(pace, 1) == [lost]


def test_strikes_are_forgiven_after_a_pause_that_fills_the_bucket_only() -> None:
    clock = Clock()
    pace = Pace(Rate(1.0, 2, 3, clock))
    taken, refused, lost = Judgement.TAKEN, Judgement.REFUSED, Judgement.LOST
    assert judged(pace, 4) == [taken, taken, refused, refused]
    clock.now += 1
    assert judged(pace, 2) == [taken, lost]
    clock.now += 2
    assert judged(pace, 5) == [taken, taken, refused, refused, lost]
