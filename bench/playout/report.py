"""The report: a page with the tables, and pictures of what each policy did."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from bench.playout.evaluate import Settings, TraceResult
from bench.playout.pictures import cost_picture, overview_picture, trace_picture
from bench.playout.policies import POLICIES
from bench.playout.summary import Goal, Row, goals, rows
from bench.playout.terminal import COLUMNS, number
from bench.playout.traces import Trace

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1150px;
  padding: 0 1rem; color: #1c1f23; }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2.5rem } h3 { font-size: 1rem }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #e3e5e8 }
th:first-child, td:first-child { text-align: left } tr.default td { font-weight: 600 }
.held { color: #1a7f37 } .missed { color: #b3261e; font-weight: 600 }
img { max-width: 100%; height: auto } .note { color: #5b6068; font-size: .9rem }
"""


def write_report(
    directory: Path, traces: Sequence[Trace], results: Sequence[tuple[Settings, list[TraceResult]]]
) -> Path:
    """Write ``index.html`` and its pictures into ``directory``; returns the page's path.

    Args:
        directory: made if it is not there.
        traces: as they were played.
        results: for each setting what came of each trace, with ``pictures`` on.

    Raises:
        ImportError: matplotlib is not installed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    by_name = {each.name: each for each in traces}
    parts = [f"<h1>Playout policies on {len(traces)} network traces</h1>", _explanation()]
    for settings, each in results:
        parts += _section(directory, by_name, settings, each)
    page = directory / "index.html"
    body = "\n".join(parts)
    head = f"<meta charset='utf-8'><title>Playout policies</title><style>{STYLE}</style>"
    page.write_text(
        f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>\n", encoding="utf-8"
    )
    return page


def _section(
    directory: Path, traces: dict[str, Trace], settings: Settings, results: list[TraceResult]
) -> list[str]:
    key = ("rounds" if settings.rounds else "endless") + ("-redundant" if settings.copies else "")
    every = rows(results, settings.policies)
    overview_picture(directory / f"{key}-overview.png", results, every)
    cost_picture(directory / f"{key}-cost.png", results, settings.policies)
    parts = [
        f"<h2>{html.escape(settings.title[0].upper() + settings.title[1:])}</h2>",
        _summary(every),
        _goals(goals(results, settings)),
        _picture(
            f"{key}-overview.png", "Freeze against added latency, means over the traces, with both bounds"
        ),
        _picture(f"{key}-cost.png", "Cost of each policy on each trace, with both bounds"),
        "<h3>Trace by trace</h3>",
    ]
    for each in results:
        name = f"{key}-{_file_name(each.trace)}.png"
        if trace_picture(directory / name, traces[each.trace], settings, each):
            parts += [_picture(name, each.trace)]
    return parts


def _summary(every: Sequence[Row]) -> str:
    heads = "".join(f"<th>{html.escape(heading)}</th>" for heading, _, _ in COLUMNS)
    lines = [f"<tr><th>policy</th>{heads}</tr>"]
    for row in every:
        cells = "".join(
            f"<td>{number(float(getattr(row, field)), digits)}</td>" for _, field, digits in COLUMNS
        )
        mark = " class='default'" if row.policy == "ours-80" else ""
        lines.append(f"<tr{mark}><td>{html.escape(POLICIES[row.policy].label)}</td>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _goals(lines: Sequence[Goal]) -> str:
    if not lines:
        return ""
    cells = ["<tr><th>must show</th><th>figure</th><th>at most</th><th>aim</th><th></th></tr>"]
    for each in lines:
        verdict = "<td class='held'>held</td>" if each.held else "<td class='missed'>not held</td>"
        aim = "" if each.aim is None else f"{each.aim:g}"
        figure = f"{each.value:.3f} {each.unit}"
        cells.append(
            f"<tr><td>{html.escape(each.text)}</td><td>{figure}</td><td>{each.goal:.4g}</td><td>{aim}</td>{verdict}</tr>"
        )
    return f"<table>{''.join(cells)}</table>"


def _picture(name: str, caption: str) -> str:
    text = html.escape(caption)
    return f"<p><img src='{html.escape(name)}' alt='{text}' loading='lazy'></p>"


def _file_name(trace: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in trace)


def _explanation() -> str:
    return (
        "<p class='note'>Every policy plays the same arrivals on a virtual clock. Freeze: time beyond 40 ms "
        "of gaps longer than 60 ms between two new poses. Skipped: frames left out. Delay: added to that of "
        "the network's fastest packets. Cost: freeze + half the skipped time + 2 % of the warped time + 10 % "
        "of the delay, in % of the duration. Bounds: the least cost of a player that knows every arrival "
        "beforehand, with time warping and interpolation (warp) and without (cut). Means of figures are "
        "arithmetic, of ratios geometric.</p>"
    )
