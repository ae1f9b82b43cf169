"""Traces: the two file forms, what is wrong with a file, duplicates and redundant copies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.playout.conditions import CONDITIONS, condition, conditions, gilbert_elliott
from bench.playout.traces import TraceError, from_times, load_trace, load_traces

GRID = np.arange(5) * 0.04


def test_npz_is_read_and_its_lost_tail_trimmed(tmp_path: Path) -> None:
    recv = np.array([0.02, np.nan, 0.13, np.nan, np.nan])
    np.savez(tmp_path / "a.npz", send_time_s=GRID, recv_time_s=recv, meta=json.dumps({"kind": "test"}))
    trace = load_trace(tmp_path / "a.npz")
    assert trace.name == "a"
    assert len(trace) == 3
    assert trace.meta == {"kind": "test"}
    np.testing.assert_allclose(trace.delay, [0.02, np.nan, 0.05])


@pytest.mark.parametrize("header", ["", "send_s,recv_s\n", "# from a room\nsend_s,recv_s\n"])
def test_csv_with_and_without_header_and_ways_to_say_lost(tmp_path: Path, header: str) -> None:
    path = tmp_path / "b.csv"
    path.write_text(header + "0.00,10.02\n0.04,\n0.08,nan\n\n0.12,10.15\n0.16,lost\n")
    trace = load_trace(path)
    np.testing.assert_allclose(trace.delay, [0.02, np.nan, np.nan, 0.03])


def test_columns_are_found_by_their_header(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("seq,recv_s,send_s\n0,5.0,1.0\n1,5.04,1.04\n")
    np.testing.assert_allclose(load_trace(tmp_path / "c.csv").delay, [0.02, 0.02])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("a,b\n0,0\n", "send_s and recv_s"),
        ("0,0\nx,1\n", "line 2"),
        ("0,0\n0.02,0.1\n0.04,0.1\n0.06,0.1\n0.08,0.1\n", "40 ms"),
        ("0,0\n40,40\n80,80\n1e9,1e9\n", "seconds"),
        ("0,0\nnan,0.1\n", "sent"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(TraceError, match=message):
        load_trace(tmp_path / "bad.csv")


def test_folders_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such folder"):
        load_traces(tmp_path / "none")
    with pytest.raises(TraceError, match=r"no \.npz"):
        load_traces(tmp_path)
    (tmp_path / "a.npz").write_bytes(b"not a zip")
    with pytest.raises(TraceError, match="not a readable"):
        load_traces(tmp_path)
    np.savez(tmp_path / "a.npz", send_time_s=GRID)
    with pytest.raises(TraceError, match="recv_time_s"):
        load_traces(tmp_path)


def test_a_second_line_for_a_packet_is_a_duplicate() -> None:
    trace = from_times("d", np.array([0.0, 0.04, 0.04, 0.08]), np.array([1.0, 1.10, 1.05, 1.08]))
    np.testing.assert_allclose(trace.delay, [0.02, 0.03, 0.02])
    assert trace.again is not None
    np.testing.assert_allclose(trace.again - trace.send, [np.nan, 0.08, np.nan])


def test_nothing_arrived_leaves_nothing() -> None:
    assert len(from_times("lost", GRID, np.full(5, np.nan))) == 0


def test_a_copy_stands_in_for_a_lost_packet() -> None:
    trace = from_times("copies", GRID, GRID + np.array([0.02, np.nan, np.nan, 0.02, 0.02]))
    np.testing.assert_allclose(trace.arrival(), [0.02, np.nan, np.nan, 0.14, 0.18])
    np.testing.assert_allclose(trace.arrival(copies=2), [0.02, 0.14, 0.14, 0.14, 0.18])


def test_conditions_depend_on_the_seed_alone() -> None:
    for first, again in zip(conditions(3, 20.0), conditions(3, 20.0), strict=True):
        np.testing.assert_array_equal(first.recv, again.recv)
    assert not np.array_equal(condition("lte_queue", 3, 20.0).recv, condition("lte_queue", 4, 20.0).recv)


def test_conditions_are_what_they_are_called() -> None:
    made = {name: condition(name, 1, 300.0) for name in CONDITIONS}
    jitter = {name: trace.delay - np.nanmin(trace.delay) for name, trace in made.items()}
    assert made["clean"].loss == 0
    assert np.nanpercentile(jitter["clean"], 99.9) < 0.020
    assert 0.02 < made["random_loss"].loss < 0.04
    assert np.nanmax(jitter["lte_queue"]) > 0.3
    scans = made["wifi_scan"].send[1:][np.diff(jitter["wifi_scan"]) > 0.12]
    assert np.median(np.diff(scans)) == pytest.approx(11.0, abs=0.3)
    assert (np.diff(made["reorder"].recv[np.isfinite(made["reorder"].recv)]) < 0).mean() > 0.02
    assert made["duplicates"].again is not None
    lost = np.isnan(made["burst_loss"].recv)
    runs = np.diff(np.flatnonzero(np.diff(np.r_[0, lost, 0])))[::2]
    assert 0.02 < lost.mean() < 0.07
    assert runs.mean() > 2.5


def test_losses_of_a_two_state_chain_have_their_share_and_their_length() -> None:
    lost = gilbert_elliott(np.random.default_rng(1), 200_000, 0.05, 4.0)
    runs = np.diff(np.flatnonzero(np.diff(np.r_[0, lost.astype(int), 0])))[::2]
    assert lost.mean() == pytest.approx(0.05, rel=0.15)
    assert runs.mean() == pytest.approx(4.0, rel=0.15)
