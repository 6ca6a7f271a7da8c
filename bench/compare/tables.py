"""The comparison as Markdown: a section per work with its figures and its goals, put between the
marks of docs/benchmarks.md. Reads and writes that one file, and only when told.
"""

import statistics

import goals

BEGIN, END = "<!-- compare:begin -->", "<!-- compare:end -->"


def number(value):
    """Three digits that mean something."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}"


def cell(values):
    """min/median/max; one figure when all are the same."""
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    said = [number(min(values)), f"**{number(statistics.median(values))}**", number(max(values))]
    return said[0] if min(values) == max(values) else "/".join(said)


def _values(runs, measure):
    return [run.get(measure) for run in runs if run is not None]


def _line(cells):
    return "| " + " | ".join(cells) + " |"


def work_table(work, results):
    """Lines of one work's table; columns nobody has a figure for are left out."""
    columns = [column for column in work.columns
               if any(value for runs in results.values()
                      for value in _values(runs, column.measure))]
    lines = [_line(["", "", *(column.heading for column in columns)]),
             _line(["---"] * (len(columns) + 2))]
    for (server, setting), runs in results.items():
        cells = [cell(_values(runs, column.measure)) for column in columns]
        lines.append(_line([server, setting, *cells]))
    return lines


def goal_table(judged):
    if not judged:
        return []
    lines = [_line(["asked of the gate", "goal", "reached", ""]), _line(["---"] * 4)]
    for one in judged:
        bound = f"{'at most' if one.goal.at_most else 'at least'} {number(one.goal.bound)}"
        verdict = {True: "met", False: "**missed**", None: "not measured"}[one.met]
        lines.append(_line([one.goal.what, bound, cell(one.values), verdict]))
    return lines


def failures(results):
    for (server, setting), runs in results.items():
        failed = sum(run is None for run in runs)
        if failed:
            yield f"{server}, {setting}: {failed} of {len(runs)} runs failed and are left out."


def preface(machine):
    return "\n".join([
        "## The comparison", "",
        "`bash bench/compare.sh`: interleaved runs, min/**median**/max; goals are judged by the "
        "median of the",
        "runs' own ratios. Each server on core 0; load, name servers and backends on core 1; both "
        "ends on",
        f"loopback, in a network namespace of their own. Machine: {machine}.", "", ""])


def section(work, sentence, results, judged, pictures, runs):
    """Markdown of one work; pictures: [(title, path)]."""
    lines = [f"### {work.title}", "", f"{sentence} {runs} run{'s' if runs > 1 else ''}.", "",
             *work_table(work, results), ""]
    lines += [*goal_table(judged), ""] if judged else []
    told = list(failures(results))
    lines += [*told, ""] if told else []
    for title, path in pictures:
        lines += [f"![{title}]({path})", ""]
    return "\n".join(lines)


def judge_all(work, scale, results):
    return [goals.judge(goal, results) for goal in work.goals(scale)]


def _work_mark(name):
    return f"<!-- compare:work {name} -->"


def _sections(body, names):
    """{work: its text} of what was written before."""
    found = {}
    for name in names:
        _, mark, rest = body.partition(_work_mark(name))
        if mark:
            found[name] = rest.partition("<!-- compare:work ")[0].strip("\n")
    return found


def put_between_marks(path, name, text, head, names):
    """Replaces the section of one work between the marks, which are made where there are none; the
    sections of other works stay. names: all works in their order."""
    try:
        with open(path, encoding="utf-8") as f:
            page = f.read()
    except FileNotFoundError:
        page = "# Benchmarks\n"
    if BEGIN not in page:
        page = f"{page.rstrip()}\n\n{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    body, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{path}: {BEGIN} without {END}: put it where the comparison shall end")
    kept = _sections(body, names)
    kept[name] = text.strip("\n")
    sections = "".join(f"{_work_mark(one)}\n{kept[one]}\n\n" for one in names if one in kept)
    with open(path, "w", encoding="utf-8") as out:
        out.write(f"{before}{BEGIN}\n{head}{sections}{END}{after}")
