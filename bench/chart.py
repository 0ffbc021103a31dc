#!/usr/bin/python3
"""Draws docs/images/speed.svg from the tables of bench/RESULTS.md: every workload that Headgate and PgBouncer both
did, none left out. `bench/chart.py` writes it; tests/e2e/test_docs.py compares.
"""

import os
import re
from html import escape

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
RESULTS = os.path.join(TOP, "bench", "RESULTS.md")
CHART = os.path.join(TOP, "docs", "images", "speed.svg")

TITLES = {
    "select-simple": "select, simple protocol",
    "select-extended": "select, extended protocol",
    "tpcb": "TPC-B",
    "think": "a transaction that thinks for 5 ms",
    "connect": "select by a new connection each",
    "result-5mb": "a row of 5 MB",
    "result-40mb": "a row of 40 MB",
    "result-40mb-tls": "a row of 40 MB, TLS",
    "select-tls": "select, TLS",
    "connect-tls": "select by a new TLS connection each",
    "idle-clients": "select beside 10,000 idle clients",
}
WIDTH, ROW, LEFT, RIGHT, TOP_SPACE = 760, 26, 270, 665, 76

STYLE = """
  .card { fill: #ffffff; stroke: #d9dee5 }
  text { font: 13px system-ui, sans-serif; fill: #1b1f24; stroke: #ffffff; stroke-width: 3px; paint-order: stroke }
  .title { font-size: 16px; font-weight: 600 }
  .dim { fill: #5d6673; font-size: 12px }
  .grid { stroke: #d9dee5 }
  .one { stroke: #5d6673; stroke-width: 1.5; stroke-dasharray: 4 3 }
  .less { fill: #2f6fde }
  .more { fill: #b35c00 }
  @media (prefers-color-scheme: dark) {
    .card { fill: #1d2128; stroke: #343b46 }
    text { fill: #e6e9ee; stroke: #1d2128 }
    .dim { fill: #98a2b0 }
    .grid { stroke: #343b46 }
    .one { stroke: #98a2b0 }
    .less { fill: #5b95ff }
    .more { fill: #e8a04c }
  }
"""


def tables(text):
    """{workload: {peer: {column: text}}}"""
    found = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
        peers = {row[0]: dict(zip(rows[0], row)) for row in rows[2:]}
        found[part.split(":", 1)[0]] = peers
    return found


def ratios(results):
    """(workload, CPU of one worker / that of PgBouncer, its p99 / that of PgBouncer), the lowest CPU first."""
    rows = []
    for workload, peers in results.items():
        ours = peers.get("headgate-1", {})
        cpu, p99 = ours.get("CPU / pgbouncer", "-"), ours.get("p99 / pgbouncer", "-")
        if "-" not in (cpu, p99):
            rows.append((workload, float(cpu), float(p99)))
    return sorted(rows, key=lambda row: row[1])


def fact(text, name):
    return re.search(rf"^- {name}: (.*)$", text, re.MULTILINE).group(1)


def draw(text):
    rows = ratios(tables(text))
    most = max(1.4, *(cpu for _, cpu, _ in rows))
    height = TOP_SPACE + ROW * len(rows) + 52

    def x(value):
        return round(LEFT + (RIGHT - LEFT) * value / most, 1)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
           f' aria-label="CPU time of Headgate relative to PgBouncer">', f"<style>{STYLE}</style>",
           f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
           '<text class="title" x="16" y="28">CPU time of the pooler, PgBouncer = 1</text>',
           '<text class="dim" x="16" y="47">one thread each; less is better; on the right the 99th percentile of the latency, the same way</text>',
           f'<text class="dim" x="{WIDTH - 16}" y="66" text-anchor="end">p99</text>']  # fmt: skip
    bottom = TOP_SPACE + ROW * len(rows)
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4):
        style = "one" if tick == 1 else "grid"
        out.append(f'<line class="{style}" x1="{x(tick)}" y1="{TOP_SPACE - 4}" x2="{x(tick)}" y2="{bottom}"/>')
        out.append(f'<text class="dim" x="{x(tick)}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    for number, (workload, cpu, p99) in enumerate(rows):
        y = TOP_SPACE + ROW * number
        style = "less" if cpu <= 1 else "more"
        out += [f'<text x="{LEFT - 10}" y="{y + 16}" text-anchor="end">{escape(TITLES[workload])}</text>',
                f'<rect class="{style}" x="{LEFT}" y="{y + 4}" width="{round(x(cpu) - LEFT, 1)}" height="{ROW - 9}" rx="2"/>',
                f'<text x="{x(cpu) + 6}" y="{y + 17}">{cpu:.2f}</text>',
                f'<text x="{WIDTH - 16}" y="{y + 17}" text-anchor="end">{p99:.2f}</text>']  # fmt: skip
    rounds = re.search(r"^Medians of (\d+ interleaved rounds)", text, re.M).group(1)
    machine = f"{fact(text, 'machine').split(',')[0]}; {fact(text, 'pgbouncer')}; medians of {rounds}; bench/RESULTS.md"
    out.append(f'<text class="dim" x="16" y="{height - 13}">{escape(machine)}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def main():
    with open(RESULTS, encoding="utf-8") as file, open(CHART, "w", encoding="utf-8") as chart:
        chart.write(draw(file.read()))


if __name__ == "__main__":
    main()
