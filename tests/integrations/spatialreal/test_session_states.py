"""The tables: states of a session, retries by code, errors by code."""

from __future__ import annotations

import pytest

from avatarkit_rtc.errors import (
    AvatarKitError,
    ConfigurationError,
    SpatialRealAuthError,
    SpatialRealBillingError,
    SpatialRealClosedError,
    SpatialRealConnectionError,
    SpatialRealEgressError,
    SpatialRealError,
    SpatialRealLimitError,
    SpatialRealNotFoundError,
    SpatialRealReplyError,
)
from avatarkit_rtc.integrations.spatialreal.problems import closed_after, expected, problem_of
from avatarkit_rtc.integrations.spatialreal.retries import Retry, retry_after_close, retry_after_status
from avatarkit_rtc.integrations.spatialreal.states import OVER, TRANSITIONS, SessionInput, SessionState

spatialreal = pytest.importorskip(
    "spatialreal", reason="needs the vendor's package, of the extra spatialreal"
)

KEY = "the-key"


def vendors(code: str = "connectionClosed", message: str = "it broke", **more: object) -> Exception:
    made: Exception = spatialreal.AvatarSDKError(spatialreal.AvatarSDKErrorCode(code), message, **more)
    return made


def problem(code: str = "connectionClosed", message: str = "it broke", **more: object) -> SpatialRealError:
    made = problem_of(vendors(code, message, **more), KEY)
    assert isinstance(made, SpatialRealError)
    return made


class TestStates:
    def test_every_state_can_be_ended_and_leads_to_an_end(self) -> None:
        for state in SessionState:
            assert (state, SessionInput.END) in TRANSITIONS
            reached, before = {state}, set[SessionState]()
            while reached != before:
                before = set(reached)
                reached |= {after for (at, _), after in TRANSITIONS.items() if at in before}
            assert reached & {SessionState.ENDED, SessionState.FAILED}

    def test_what_is_over_stays_over(self) -> None:
        for (state, _), after in TRANSITIONS.items():
            assert after in OVER or state not in OVER


@pytest.mark.parametrize(
    ("code", "retry"),
    [
        (None, Retry.BACKOFF),
        (1000, Retry.NO),
        (1001, Retry.BACKOFF),
        (1006, Retry.BACKOFF),
        (1011, Retry.BACKOFF),
        (4000, Retry.NO),
        (4001, Retry.NO),
        (4002, Retry.AT_ONCE),
        (4003, Retry.NO),
        (4010, Retry.NO),
        (4499, Retry.NO),
        (4500, Retry.BACKOFF),
        (4503, Retry.BACKOFF),
        (4700, Retry.BACKOFF),
    ],
)
def test_close_codes(code: int | None, retry: Retry) -> None:
    assert retry_after_close(code) is retry
    # The vendor's package says the same; only that the service's own good end is none to come back from.
    if code != 1000:
        assert vendors(close_code=code).retryable is (retry is not Retry.NO)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("status", "retry"),
    [
        (None, Retry.BACKOFF),
        (400, Retry.NO),
        (401, Retry.NO),
        (404, Retry.NO),
        (408, Retry.BACKOFF),
        (429, Retry.NO),
        (500, Retry.BACKOFF),
    ],
)
def test_statuses(status: int | None, retry: Retry) -> None:
    assert retry_after_status(status) is retry


class TestProblems:
    @pytest.mark.parametrize(
        ("more", "kind"),
        [
            ({"http_status": 401}, SpatialRealAuthError),
            ({"http_status": 402}, SpatialRealBillingError),
            ({"http_status": 404}, SpatialRealNotFoundError),
            ({"http_status": 429}, SpatialRealLimitError),
            ({"http_status": 418}, SpatialRealReplyError),
            ({"http_status": 502}, SpatialRealConnectionError),
            ({"close_code": 4001}, SpatialRealBillingError),
            ({"close_code": 4002}, SpatialRealClosedError),
            ({"close_code": 4003}, SpatialRealLimitError),
            ({"close_code": 4010}, SpatialRealAuthError),
            ({"close_code": 4500}, SpatialRealClosedError),
            ({"close_code": 1011}, SpatialRealConnectionError),
            ({}, SpatialRealConnectionError),
            ({"code": "protocolError"}, SpatialRealReplyError),
            ({"code": "serverError"}, SpatialRealError),
        ],
    )
    def test_kinds(self, more: dict[str, object], kind: type[SpatialRealError]) -> None:
        made = problem(**more)  # type: ignore[arg-type]
        assert type(made) is kind
        assert made.status == more.get("http_status")
        assert made.close_code == more.get("close_code")
        assert made.vendor_code == more.get("code", "connectionClosed")

    def test_an_egress_that_fails_is_told_by_its_words(self) -> None:
        said = problem("serverError", "egress: cannot join", phase="websocket_runtime", server_code="14")
        assert isinstance(said, SpatialRealEgressError)
        assert not said.token_refused
        said = problem("serverError", "LiveKit said 401", phase="websocket_runtime", server_code="16")
        assert isinstance(said, SpatialRealEgressError)
        assert said.token_refused
        # A close code of its own meaning wins, and words of elsewhere mean nothing.
        assert type(problem(message="no room", phase="websocket_runtime", close_code=4001)) is (
            SpatialRealBillingError
        )
        assert type(problem("connectionFailed", "no room", phase="websocket_connect")) is (
            SpatialRealConnectionError
        )

    def test_what_was_said_before_a_close_explains_it(self) -> None:
        said = problem("serverError", "egress: gone", phase="websocket_runtime", server_code="14")
        ended = closed_after(said, problem(close_code=4500))
        assert ended is said
        assert (said.close_code, said.retryable) == (4500, True)
        billing = problem(close_code=4001)
        assert closed_after(said, billing) is billing

    def test_only_a_session_token_that_ran_out_is_expected(self) -> None:
        assert expected(problem(close_code=4002))
        assert not expected(problem(close_code=4500))
        assert not expected(problem())

    def test_a_secret_is_in_no_text_and_no_cause(self) -> None:
        told = vendors(message=f"no such key: {KEY}, token eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl")
        made = problem_of(told, KEY)
        assert KEY not in str(made)
        assert "eyJ" not in str(made)
        assert made.__cause__ is None
        harmless = vendors()
        assert problem_of(harmless, KEY).__cause__ is harmless
        inner = ValueError(f"header {KEY}")
        harmless.__cause__ = inner
        assert problem_of(harmless, KEY).__cause__ is None

    def test_others(self) -> None:
        assert isinstance(problem_of(TimeoutError(), KEY), SpatialRealConnectionError)
        assert isinstance(problem_of(ValueError("unknown environment"), KEY), ConfigurationError)
        ours = AvatarKitError("as it is")
        assert problem_of(ours, KEY) is ours
