"""The avatar's tools, called as the model calls them, and the events that come of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.integrations.realtime import avatar_projector, create_avatar_tools
from avatarkit_rtc.integrations.realtime.events import ToolCalled
from avatarkit_rtc.integrations.realtime.payloads import Expression, Gaze, Motion
from tests.integrations.realtime.conftest import Session
from tests.support.realtime import settle, tool

Run = Callable[..., Any]


def called(run: Run, name: str, **args: Any) -> list[tuple[str, Any]]:
    """What comes of a call, after ``realtime:tool:call``."""

    async def main() -> list[tuple[str, Any]]:
        tools = create_avatar_tools(["smile", "frown"], {"wave": 2})
        its = await Session(tools=tools, result_projectors=[avatar_projector]).started()
        its.client.tell(ToolCalled("c", name, json.dumps(args)))
        await settle()
        events = its.trace.events[1:]
        ((_, (_, output)),) = its.client.calls
        assert output["success"] is (events[0][0] == "realtime:tool:result")
        await its.manager.stop_session()
        return events

    return run(main())  # type: ignore[no-any-return]


def test_an_expression(run: Run) -> None:
    events = called(run, "set_expression", expression_id="smile")
    assert events[1:] == [("realtime:expression", Expression("smile"))]


@pytest.mark.parametrize(("args", "index"), [({}, 0), ({"index": 1}, 1)])
def test_a_motion(run: Run, args: dict[str, int], index: int) -> None:
    assert called(run, "play_motion", group="wave", **args)[1:] == [
        ("realtime:motion", Motion("wave", index))
    ]


@pytest.mark.parametrize(
    ("x", "y", "gaze"), [(0.5, -0.25, (0.5, -0.25)), (4, -4, (1.0, -1.0)), (-1, 1, (-1.0, 1.0))]
)
def test_a_gaze_is_brought_into_its_range(run: Run, x: float, y: float, gaze: tuple[float, float]) -> None:
    assert called(run, "look_at", x=x, y=y)[1:] == [("realtime:gaze", Gaze(*gaze))]


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("set_expression", {"expression_id": "grin"}, 'must be one of "smile", "frown"'),
        ("play_motion", {"group": "dance"}, 'must be one of "wave"'),
        (
            "play_motion",
            {"group": "wave", "index": 2},
            'play_motion index 2 is out of range for group "wave"',
        ),
        ("look_at", {"x": 0.1}, 'missing required property "y"'),
        ("look_at", {"x": "left", "y": 0}, 'property "x" must be number'),
    ],
)
def test_what_the_avatar_cannot_do(run: Run, name: str, args: dict[str, Any], said: str) -> None:
    ((event, payload),) = called(run, name, **args)
    assert event == "realtime:tool:error"
    assert str(payload.error).endswith(said)


def test_an_avatar_without_expressions_or_motions_has_no_such_tools() -> None:
    assert [each.definition.name for each in create_avatar_tools()] == ["look_at"]
    assert [each.definition.name for each in create_avatar_tools(["a"], {"b": 1})] == [
        "set_expression",
        "play_motion",
        "look_at",
    ]
    with pytest.raises(ConfigurationError, match="no motions in empty"):
        create_avatar_tools(motions={"empty": 0})


def test_results_of_other_tools_are_left_alone(run: Run) -> None:
    async def main() -> None:
        async def other(args: Any) -> dict[str, Any]:
            return {"x": 1, "y": 1}

        its = await Session(tools=[tool("other", other)], result_projectors=[avatar_projector]).started()
        its.client.tell(ToolCalled("c", "other", "{}"))
        await settle()
        assert its.trace.names == ["realtime:tool:call", "realtime:tool:result"]
        await its.manager.stop_session()

    run(main())
