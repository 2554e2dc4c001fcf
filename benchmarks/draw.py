"""A picture of benchmark results. On demand: .venv/bin/python -m benchmarks.draw RESULTS.json [MORE.json …] PICTURE.svg

Seconds of the thirty dearest steps and models of the first file, one colour a file (the same at other sizes), on a
logarithmic scale, with the floor of each as a rule.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import altair as alt


def draw(results: list[Path], picture: Path) -> None:
    """Draw the files' timings into an SVG."""
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in results]
    dearest = [t["name"] for t in sorted(runs[0]["timings"], key=lambda timing: -timing["seconds"])[:30]]
    bars = [
        {"size": f"{run['orders']:,} orders", "what": timing["name"], "seconds": round(timing["seconds"], 2)}
        for run in runs
        for timing in run["timings"]
        if timing["name"] in dearest and timing["seconds"] > 0
    ]
    floors = [{"size": f"{run['orders']:,} orders", "seconds": run["floor"]} for run in runs]
    seconds = alt.X("seconds:Q", scale=alt.Scale(type="log"), title="seconds of wall clock; the rule is the floor")
    points = (
        alt.Chart(alt.Data(values=bars))
        .mark_circle(size=60)
        .encode(x=seconds, y=alt.Y("what:N", sort=dearest, title=None), color=alt.Color("size:N", title=None))
    )
    rules = alt.Chart(alt.Data(values=floors)).mark_rule(strokeDash=[4, 3]).encode(x="seconds:Q", color="size:N")
    title = alt.TitleParams("What a full refresh spends its time on", subtitle=runs[0]["machine"], anchor="start")
    (points + rules).properties(width=560, height=520, title=title).save(str(picture))


if __name__ == "__main__":
    draw([Path(name) for name in sys.argv[1:-1]], Path(sys.argv[-1]))
