"""``bench.recorders``: how it looks for the most bots, and one bot in a real room."""

from __future__ import annotations

import pytest

from bench.processes import Place
from bench.recorders import PARTS, Bot, Row, Setup, bot_of, most, report, run
from tests.support.livekit import LiveKitServer

pytestmark = pytest.mark.long

SETUP = Setup("cartoon", 256, 0)
WHERE = Place("ws://nowhere", "key", "secret", "room")


def counters(t: float, **more: float) -> dict[str, float]:
    same = {"cpu": 0.4 * t, "loop": 0.05 * t, "draw": 0.2 * t, "encode": 0.03 * t, "sound": 0.02 * t}
    return {"t": t, "level": 0, "rate": 25.0, "dropped": 0, "pictures": 25 * t, **same, **more}


def test_a_bots_time_is_shared_out() -> None:
    lines = [counters(float(t)) for t in range(10, 21)]
    bot = bot_of(lines[0], lines[-1], lines)
    assert bot.percent == pytest.approx({"draw": 20, "encode": 3, "sound": 2, "loop": 5, "livekit": 10})
    assert bot.total_percent == pytest.approx(40)
    assert bot.kept_up


@pytest.mark.parametrize("more", [{"level": 1}, {"rate": 12.5}, {"dropped": 1}, {"pictures": 480}])
def test_who_drops_or_lowers_its_load_does_not_keep_up(more: dict[str, float]) -> None:
    lines = [counters(float(t)) for t in range(10, 20)] + [counters(20.0, **more)]
    assert not bot_of(lines[0], lines[-1], lines).kept_up


@pytest.mark.parametrize("carries", [0, 1, 3, 4, 5, 7, 16, 40])
def test_the_most_that_keep_up_are_found(monkeypatch: pytest.MonkeyPatch, carries: int) -> None:
    asked: list[int] = []

    def pretend(where: Place, setup: Setup, count: int, seconds: float) -> list[Bot]:
        asked.append(count)
        return [Bot(dict.fromkeys(PARTS, 5.0), 25.0, count <= carries)] * count

    monkeypatch.setattr("bench.recorders.run", pretend)
    row = most(WHERE, SETUP, 1.0, first=4)
    assert row.most == min(carries, 16)
    assert len(asked) == len(set(asked)) <= 6
    assert row.failed_at == (None if carries >= 16 else row.most + 1)


def test_six_with_the_cartoon_must_keep_up() -> None:
    bots = tuple([Bot(dict.fromkeys(PARTS, 5.0), 25.0, True)] * 5)
    assert not report([Row(SETUP, bots, 5, 6)], {}).met
    assert report([Row(SETUP, bots, 6, 7)], {}).met
    assert report([Row(Setup("head", 512, 0), bots, 1, 2)], {}).met
    assert "cartoon  256   veryfast  5        25.0" in report([Row(SETUP, bots, 5, 6)], {}).table()


def test_one_bot_in_a_real_room(livekit_server: LiveKitServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.recorders.SETTLE_S", 0.0)
    where = Place(livekit_server.url, livekit_server.api_key, livekit_server.api_secret)
    (bot,) = run(where, SETUP, 1, 6.0)
    assert bot.pictures_per_s > 0
    assert bot.percent["draw"] > 0
    assert bot.percent["encode"] > 0
    assert bot.total_percent < 150
