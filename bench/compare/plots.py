"""The comparison as pictures: SVG by gnuplot, black on white, told apart by shape and dash alone.

Each figure is a median with a bar from least to most. Owns nothing but the files it is told to
write; a figure that is not above 0 does not exist on a logarithmic axis and is left out.
"""

import dataclasses
import os
import statistics
import subprocess

from tables import number as number_text

_SHAPES = (7, 4, 9, 12, 5, 6, 8, 13, 2)  # gnuplot's pointtypes, neighbours unlike each other
_SIZE = {"svg": "svg size 820,440 font 'sans,13' background 'white'",
         "png": "png size 820,440"}


@dataclasses.dataclass(frozen=True)
class Plot:
    """One picture of one measure. Servers side by side, or lines over the number of clients when
    the work's settings are counts."""

    name: str
    measure: str
    axis: str
    over_count: bool = False


def _spans(results, measure):
    """{(server, setting): (least, median, most)} of what can be drawn."""
    found = {}
    for row, runs in results.items():
        values = [run[measure] for run in runs if run is not None and run.get(measure)]
        if values and min(values) > 0:
            found[row] = (min(values), statistics.median(values), max(values))
    return found


def _in_order(names):
    return list(dict.fromkeys(names))


def _beside_each_other(spans):
    """Servers along the axis, a shape for each setting, next to one another, medians written."""
    servers = _in_order(server for server, _ in spans)
    settings = _in_order(setting for _, setting in spans)
    tics = ", ".join(f'"{server}" {place}' for place, server in enumerate(servers))
    lines = [f"set xtics ({tics})", f"set xrange [-0.6:{len(servers) - 0.4}]"]
    series = []
    for number, setting in enumerate(settings):
        rows = [(_place(spans, servers, server, setting), *spans[server, setting])
                for server in servers if (server, setting) in spans]
        lines += [f"set label '{number_text(median)}' at {place:g},{median:g} left offset 0.7,0 "
                  "font ',10'" for place, _, median, _ in rows]
        series.append((setting, rows, f"with yerrorbars pt {_SHAPES[number % len(_SHAPES)]}"))
    return lines, series


def _place(spans, servers, server, setting):
    """Each server's own settings, evenly around its name."""
    own = [other for who, other in spans if who == server]
    most = max(sum(who == one for who, _ in spans) for one in servers)
    shift = (own.index(setting) - (len(own) - 1) / 2) * 0.8 / most
    return servers.index(server) + shift


def _over_count(spans):
    """A line for each server."""
    counted = {(server, int(setting.replace(",", ""))): span
               for (server, setting), span in spans.items() if setting.replace(",", "").isdigit()}
    lines = ["set logscale x", "set xlabel 'clients held'", "set format x '%.0f'"]
    series = []
    for number, server in enumerate(_in_order(server for server, _ in counted)):
        rows = [(count, *span) for (who, count), span in sorted(counted.items()) if who == server]
        series.append((server, rows, f"with yerrorlines dt {number + 1} "
                                     f"pt {_SHAPES[number % len(_SHAPES)]}"))
    lows = [span[0] for span in counted.values()]
    highs = [span[2] for span in counted.values()]
    if counted and max(highs) < 3 * min(lows):  # next to one another: from 0, so ratios are seen
        lines += ["unset logscale y", "set yrange [0:*]"]
    return lines, series


def script(plot, title, results, path, kind="svg"):
    """The gnuplot program, or nothing when there is nothing to draw."""
    spans = _spans(results, plot.measure)
    if not spans:
        return None
    lines, series = (_over_count if plot.over_count else _beside_each_other)(spans)
    head = [f"set terminal {_SIZE[kind]}", f"set output '{path}'", f"set title '{title}'",
            f"set ylabel '{plot.axis}'", "set logscale y", "set format y '%g'",
            "set grid y dt 3", "set border 3", "set tics nomirror",
            "set key outside bottom center horizontal", "set bars 0.6", "set pointsize 0.9"]
    blocks, drawn = [], []
    for number, (label, rows, style) in enumerate(series):
        blocks += [f"$series{number} << END",
                   *(f"{x:g} {median:g} {least:g} {most:g}" for x, least, median, most in rows),
                   "END"]
        drawn.append(f"$series{number} using 1:2:3:4 {style} lw 1.3 lc 'black' title '{label}'")
    return "\n".join([*blocks, *head, *lines, "plot " + ", \\\n  ".join(drawn), ""])


def draw(work, results, folder, kind="svg"):
    """[(title, file name)] of the pictures made in `folder`."""
    made = []
    for plot in work.plots:
        path = os.path.join(folder, f"{plot.name}.{kind}")
        program = script(plot, work.title, results, path, kind)
        if program is None:
            continue
        done = subprocess.run(["gnuplot"], input=program, text=True, capture_output=True,
                              check=False)
        if done.returncode != 0 or not os.path.exists(path):
            raise SystemExit(f"gnuplot could not draw {path}: {done.stderr}")
        made.append((f"{work.title}: {plot.axis}", os.path.basename(path)))
    return made
