"""Four charts of a run's page by each of several libraries, every one as a page that works offline.

Each page has the content security policy of the report: only the scripts that stand in it, known by
their hashes, and no evaluation of text. With Chromium installed it is opened, as a phone in dark
mode, and what the console says is printed beside its size.

    pip install plotly==7.1.0 altair==6.3.0 bokeh==3.9.2 matplotlib==3.11.2
    npm install --prefix BUNDLES plotly.js-basic-dist-min@4.1.1 plotly.js-cartesian-dist-min@4.1.1 \
        vega@6.4.0 vega-lite@6.4.3 vega-embed@7.3.0 d3@7.9.2 @observablehq/plot@0.6.17
    python experiments/charts/pages.py --run RUN --bundles BUNDLES/node_modules --out PAGES
"""

import argparse
import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import autoscale
from autoscale.report.charts.svg import style
from autoscale.runs.contents import Run

SHOWN = ("front", "importance", "grid-candidates", "grid-surface")
TRIANGLE = np.array([(0.5, 0.75**0.5), (0, 0), (1, 0)])


@dataclass
class Data:
    """What all libraries draw."""

    trials: pd.DataFrame
    front: pd.DataFrame
    target: float
    baseline: tuple[float, float]
    shares: pd.DataFrame  # choice, share
    candidates: pd.DataFrame  # name, estimate, low, high
    surface: pd.DataFrame  # x, y, estimate

    @classmethod
    def of(cls, run: Run) -> "Data":
        search, grid = run.search, run.grids[0]
        assert search is not None
        assert search.accuracy is not None
        assert search.baseline is not None
        assert search.baseline.score is not None
        assert run.trials is not None
        assert grid.surface is not None
        trials = run.trials[run.trials.status == "finished"]
        trials = trials[["trial", "macs", "params", "accuracy", "on_front"]]
        surface = grid.surface
        logs = np.log(surface[["depth", "width", "resolution"]].to_numpy()) * (1, 2, 2)
        x, y = (logs / logs.sum(axis=1, keepdims=True) @ TRIANGLE).T
        names = [
            f"({row.alpha:.3g}, {row.beta:.3g}, {row.gamma:.3g})"
            for row in grid.candidates.itertuples()
        ]
        return cls(
            trials=trials,
            front=trials[trials.on_front].sort_values("macs"),
            target=search.objective.target,
            baseline=(search.baseline.score.macs, search.accuracy),
            shares=autoscale.figures(run)["importance"].table,
            candidates=grid.candidates[["estimate", "low", "high"]].assign(name=names),
            surface=surface[["estimate"]].assign(x=x, y=y),
        )


def page(scripts: list[str], body: str, head: str = "") -> str:
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"{head}</head><body>{body}"
        f"{''.join(f'<script>{script}</script>' for script in scripts)}</body></html>"
    )


def places(count: int) -> str:
    return "".join(f'<div id="c{number}"></div>' for number in range(count))


def ours(data: Data, run: Run) -> str:
    drawn = [autoscale.figures(run)[key].drawing for key in SHOWN]
    return page([], "".join(drawn), f"<style>{style()}</style>")


def plotly(data: Data, bundle: Path) -> str:
    import plotly.graph_objects as go

    front = go.Figure()
    front.add_scatter(x=data.trials.macs, y=data.trials.accuracy, mode="markers",
                      text=[f"Trial {trial}" for trial in data.trials.trial])  # fmt: skip
    front.add_scatter(x=data.front.macs, y=data.front.accuracy, line_shape="hv", name="front")
    front.add_scatter(x=[data.baseline[0]], y=[data.baseline[1]], mode="markers+text",
                      text=["baseline"], marker_symbol="diamond")  # fmt: skip
    front.add_vline(x=data.target, line_dash="dot", annotation_text="target")
    front.update_xaxes(type="log", title="Multiply-adds")
    best = data.candidates
    candidates = go.Figure(
        go.Scatter(x=best.estimate, y=best.name, mode="markers",
                   error_x={"array": best.high - best.estimate, "symmetric": False,
                            "arrayminus": best.estimate - best.low})
    )  # fmt: skip
    tile = {"symbol": "hexagon", "size": 11, "color": data.surface.estimate, "colorscale": "Blues"}
    surface = go.Figure(go.Scatter(x=data.surface.x, y=data.surface.y, mode="markers", marker=tile))
    shares = go.Figure(go.Bar(x=data.shares.share, y=data.shares.choice, orientation="h"))
    specs = []
    for figure in (front, shares, candidates, surface):
        figure.update_layout(height=320, margin={"l": 40, "r": 10, "t": 30, "b": 40},
                             paper_bgcolor="rgba(0,0,0,0)",
                             plot_bgcolor="rgba(0,0,0,0)")  # fmt: skip
        spec = json.loads(figure.to_json())
        spec["layout"].pop("template", None)
        specs.append(spec)
    run = (
        f"const specs={json.dumps(specs)};specs.forEach((s,i)=>Plotly.newPlot('c'+i,s.data,"
        "s.layout,{responsive:true,displayModeBar:false}));"
    )
    return page([bundle.read_text(encoding="utf-8"), run], places(len(specs)))


def vega(data: Data, bundles: Path, *, ast: bool) -> str:
    import altair as alt

    x = alt.X("macs").scale(type="log")
    front = (
        alt.Chart(data.trials)
        .mark_circle()
        .encode(x=x, y="accuracy", tooltip=["trial", "macs", "params"])
        + alt.Chart(data.front).mark_line(interpolate="step-after").encode(x=x, y="accuracy")
        + alt.Chart(pd.DataFrame({"macs": [data.target]})).mark_rule().encode(x=x)
        + alt.Chart(
            pd.DataFrame([(*data.baseline, "baseline")], columns=["macs", "accuracy", "text"])
        )
        .mark_text(dx=-30)
        .encode(x=x, y="accuracy", text="text")
    )
    ranges = alt.Chart(data.candidates).mark_rule().encode(x="low", x2="high", y="name")
    middle = alt.Chart(data.candidates).mark_point().encode(x="estimate", y="name")
    hexagon = "M0,-1L.866,-.5L.866,.5L0,1L-.866,.5L-.866,-.5Z"
    surface = (
        alt.Chart(data.surface)
        .mark_point(shape=hexagon, size=400, filled=True)
        .encode(x=alt.X("x").axis(None), y=alt.Y("y").axis(None), color="estimate")
    )
    shares = alt.Chart(data.shares).mark_bar().encode(x="share", y="choice")
    specs = [
        chart.properties(width="container").to_dict()
        for chart in (front, shares, ranges + middle, surface)
    ]
    names = ("vega/build/vega", "vega-lite/build/vega-lite", "vega-embed/build/vega-embed")
    libraries = [(bundles / f"{name}.min.js").read_text(encoding="utf-8") for name in names]
    run = (
        f"const specs={json.dumps(specs)};specs.forEach((s,i)=>vegaEmbed('#c'+i,s,{{actions:false,"
        f"renderer:'svg',ast:{json.dumps(ast)}}}).catch(e=>console.error(String(e))));"
    )
    return page([*libraries, run], places(len(specs)), "<style>.vega-embed{width:100%}</style>")


def bokeh(data: Data) -> str:
    import bokeh
    from bokeh.embed import components
    from bokeh.models import ColumnDataSource, HoverTool
    from bokeh.plotting import figure
    from bokeh.transform import linear_cmap

    frame: dict[str, Any] = {
        "sizing_mode": "stretch_width",
        "height": 320,
        "toolbar_location": None,
    }
    front = figure(x_axis_type="log", **frame)
    dots = front.scatter("macs", "accuracy", source=ColumnDataSource(data.trials), size=8)
    front.step(data.front.macs, data.front.accuracy, mode="after")
    front.add_tools(HoverTool(renderers=[dots], tooltips=[("trial", "@trial"), ("macs", "@macs")]))
    front.text([data.baseline[0]], [data.baseline[1]], text=["baseline"])
    front.vspan(x=data.target, line_dash="dashed")
    best = data.candidates
    candidates = figure(y_range=list(best.name), **frame)
    candidates.segment(best.low, best.name, best.high, best.name)
    candidates.scatter(best.estimate, best.name, size=9)
    low, high = data.surface.estimate.min(), data.surface.estimate.max()
    surface = figure(match_aspect=True, **frame)
    surface.scatter("x", "y", source=ColumnDataSource(data.surface), marker="hex", size=16,
                    color=linear_cmap("estimate", "Blues9", low, high))  # fmt: skip
    shares = figure(y_range=list(data.shares.choice), **frame)
    shares.hbar(y=data.shares.choice, right=data.shares.share, height=0.5)
    script, places_ = components([front, shares, candidates, surface])
    run = re.search(r"<script[^>]*>(.*)</script>", script, re.DOTALL)
    assert run
    library = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
    return page([library.read_text(encoding="utf-8"), run[1]], "".join(places_))


def observable(data: Data, bundles: Path) -> str:
    plain = {
        "trials": data.trials.to_dict("records"), "front": data.front.to_dict("records"),
        "target": data.target, "baseline": data.baseline,
        "shares": data.shares.to_dict("records"),
        "candidates": data.candidates.to_dict("records"),
        "surface": data.surface.to_dict("records"),
    }  # fmt: skip
    run = (
        f"const data={json.dumps(plain)};"
        + """
const draw = (i, options) => document.getElementById('c' + i).append(
  Plot.plot({width: 370, style: {background: "none"}, ...options}));
draw(0, {x: {type: "log"}, marks: [
  Plot.line(data.front, {x: "macs", y: "accuracy", curve: "step-after"}),
  Plot.dot(data.trials, {x: "macs", y: "accuracy", tip: true, channels: {trial: "trial"}}),
  Plot.text([data.baseline], {x: d => d[0], y: d => d[1], text: () => "baseline"}),
  Plot.ruleX([data.target])]});
draw(1, {marginLeft: 120, marks: [Plot.barX(data.shares, {x: "share", y: "choice"})]});
draw(2, {marginLeft: 120, marks: [
  Plot.ruleY(data.candidates, {x1: "low", x2: "high", y: "name"}),
  Plot.dot(data.candidates, {x: "estimate", y: "name", tip: true})]});
draw(3, {axis: null, color: {scheme: "blues"}, marks: [
  Plot.dot(data.surface, {x: "x", y: "y", fill: "estimate", symbol: "hexagon", r: 9})]});
"""
    )
    names = ("d3/dist/d3.min.js", "@observablehq/plot/dist/plot.umd.min.js")
    libraries = [(bundles / name).read_text(encoding="utf-8") for name in names]
    return page([*libraries, run], places(4))


def matplotlib(data: Data) -> str:
    import matplotlib
    import matplotlib.pyplot as plt

    matplotlib.use("svg")
    plt.rcParams["svg.fonttype"] = "none"
    figure, charts = plt.subplots(4, figsize=(4, 14))
    charts[0].set_xscale("log")
    charts[0].scatter(data.trials.macs, data.trials.accuracy)
    charts[0].step(data.front.macs, data.front.accuracy, where="post")
    charts[0].annotate("baseline", data.baseline)
    charts[0].axvline(data.target, linestyle=":")
    charts[1].barh(data.shares.choice, data.shares.share)
    best = data.candidates
    charts[2].hlines(best.name, best.low, best.high)
    charts[2].scatter(best.estimate, best.name)
    charts[3].scatter(data.surface.x, data.surface.y, c=data.surface.estimate, marker="h", s=60)
    written = io.StringIO()
    figure.savefig(written, format="svg")
    return page([], written.getvalue()[written.getvalue().index("<svg") :])


def opened(file: Path) -> str:
    """What the console says of a page on a phone in dark mode; a picture lies beside the page."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        return "not opened: needs Chromium"
    frame = file.with_suffix(".frame.html")
    frame.write_text(
        f'<body style="margin:0"><iframe src="{file.name}" '
        'style="border:0;width:390px;height:1500px"></iframe>',
        encoding="utf-8",
    )
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=500,1500",
             "--blink-settings=preferredColorScheme=0", "--virtual-time-budget=8000",
             "--allow-file-access-from-files", "--enable-logging=stderr", "--v=0",
             f"--user-data-dir={profile}", f"--screenshot={file.with_suffix('.png')}",
             frame.resolve().as_uri()],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    frame.unlink()
    refused = [line for line in done.stderr.splitlines() if "Security Policy" in line]
    return f"{len(refused)} refusals by the policy"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--run", required=True, help="a run with a search and a grid")
    parser.add_argument("--bundles", type=Path, required=True, help="npm's node_modules")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pages")
    asked = parser.parse_args()
    run = autoscale.load_run(asked.run)
    data, bundles = Data.of(run), asked.bundles
    written = {
        "ours": ours(data, run),
        "matplotlib": matplotlib(data),
        "observable": observable(data, bundles),
        "vega": vega(data, bundles, ast=False),
        "vega-ast": vega(data, bundles, ast=True),
        "plotly-basic": plotly(data, bundles / "plotly.js-basic-dist-min/plotly-basic.min.js"),
        "plotly-cartesian": plotly(
            data, bundles / "plotly.js-cartesian-dist-min/plotly-cartesian.min.js"
        ),
        "bokeh": bokeh(data),
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        file = asked.out / f"{name}.html"
        file.write_text(text, encoding="utf-8")
        print(f"{name}: {file.stat().st_size / 1000:,.0f} kB, {opened(file)}")


if __name__ == "__main__":
    main()
