// The dashboard: reads /stats.json every second and shows what has changed since. What comes from
// the pooler (names of databases, texts of errors) is only ever set as text.
"use strict";

const PERIOD = 1000;
// Without the name and the password that the page's own address may have: fetch() refuses those.
const SOURCE = `${location.origin}${location.pathname.replace(/[^/]*$/, "")}stats.json`;
const HEIGHT = 150; // of a chart
const KEPT = 300; // readings that the charts show
const RATES = ["transactions", "queries"]; // of the counters in totals

const by = (id) => document.getElementById(id);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function time(us) {
  if (us === null || us === undefined || Number.isNaN(us)) return "–";
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1000).toPrecision(3)} ms`;
  if (us < 120e6) return `${(us / 1e6).toPrecision(3)} s`;
  if (us < 7200e6) return `${Math.round(us / 60e6)} min`;
  return `${Math.round(us / 3600e6)} h`;
}

const number = (value) => (value === null ? "–" : value >= 100 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(3)));

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en", { hourCycle: "h23" });

// --- percentiles of what happened between two readings

function difference(now, before) {
  return now.map((count, i) => Math.max(0, count - (before ? before[i] : 0)));
}

// The time that this part of all events did not exceed; null where nothing happened. Within a bucket
// the events are taken to lie evenly.
function quantile(part, counts, bounds) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let left = part * total;
  for (let i = 0; i < counts.length; ++i) {
    if (left > counts[i] || counts[i] === 0) {
      left -= counts[i];
      continue;
    }
    if (i >= bounds.length) break;
    const low = i === 0 ? 0 : bounds[i - 1];
    return low + (bounds[i] - low) * (left / counts[i]);
  }
  return bounds[bounds.length - 1];
}

// --- charts

const charts = [];

// `least`: how far the axis goes at least.
function chart(id, series, show, least) {
  const place = by(id);
  const data = [[], ...series.map(() => [])];
  const axis = { stroke: () => color("--dim"), grid: { stroke: () => color("--line"), width: 1 }, ticks: { show: false } };
  const plot = new uPlot(
    {
      width: Math.max(place.clientWidth, 200),
      height: HEIGHT,
      legend: { live: true },
      cursor: { y: false },
      scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.1 || 0, least)] } },
      axes: [{ ...axis, space: 80, size: 30, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 64, values: (_, ticks) => ticks.map(show) }],
      series: [{ label: "at", value: (_, at) => (at === null ? "–" : clock(at)) }, ...series.map(([label, paint, dash]) => ({
        label, dash, width: 1.5, stroke: () => color(paint), value: (_, value) => (value === null ? "–" : show(value)), spanGaps: true,
        points: { show: false },
      }))],
    },
    data, place);
  const made = {
    add(at, ...values) {
      data[0].push(at);
      values.forEach((value, i) => data[i + 1].push(value));
      if (data[0].length > KEPT) data.forEach((column) => column.shift());
      plot.setData(data);
    },
    fit: () => plot.setSize({ width: Math.max(place.clientWidth, 200), height: HEIGHT }),
    repaint: () => plot.redraw(false, true),
  };
  charts.push(made);
  return made;
}

// --- tables

function element(kind, text, style) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (style) made.className = style;
  return made;
}

// Each row is a list of cells: a text, or [text, class].
function fill(id, rows, nothing) {
  const lines = rows.map((cells) => {
    const line = element("tr");
    for (const cell of cells) line.append(Array.isArray(cell) ? element("td", ...cell) : element("td", cell));
    return line;
  });
  if (lines.length === 0) {
    const cell = element("td", nothing, "empty");
    cell.colSpan = 9;
    lines.push(element("tr"));
    lines[0].append(cell);
  }
  by(id).replaceChildren(...lines);
}

function pool(row) {
  const line = element("div", undefined, "pool");
  const busy = row.login + row.tested;
  const whole = Math.max(row.size, row.active + busy + row.idle) + row.waiting || 1;
  const bar = element("div", undefined, "bar");
  for (const [style, count] of [["active", row.active], ["login", busy], ["idle", row.idle], ["waiting", row.waiting]]) {
    const part = element("div", undefined, style);
    part.style.width = `${(100 * count) / whole}%`;
    bar.append(part);
  }
  const limit = row.size > 0 ? ` / ${row.size}` : "";
  const waits = row.waiting > 0 ? `, ${row.waiting} ${row.waiting === 1 ? "waits" : "wait"} (${time(row.max_wait_us)})` : "";
  const pinned = row.pinned > 0 ? `, ${row.pinned} pinned` : "";
  line.append(element("span", `${row.database} / ${row.user}`), bar,
    element("span", `${row.active} at work${limit}${waits}${pinned}`, row.waiting > 0 ? "numbers alarm" : "numbers"));
  bar.title = `${row.active} at work, ${busy} opening or testing, ${row.idle} idle, ${row.waiting} clients waiting`;
  return line;
}

// --- what is shown of a reading

let before = null;
let rate, waiting, wait, query;

function show(now) {
  by("version").textContent = now.version;
  const state = by("state");
  state.textContent = now.state;
  state.className = `badge ${now.state === "active" ? "good" : "bad"}`;
  by("summary").textContent =
    `${now.clients} clients (${now.client_slots_used} of ${now.client_slots} slots), ${now.servers} servers, up ${time(now.uptime_us)}`;
  document.title = now.waiting > 0 ? `${now.waiting} waiting – Headgate` : "Headgate";

  by("pools").replaceChildren(...now.pools.map(pool));
  if (now.pools.length === 0) by("pools").append(element("span", "no client has come yet", "empty"));
  by("pools-note").textContent = now.pools_total > now.pools.length ? `the busiest ${now.pools.length} of ${now.pools_total}` : "";
  by("hosts-section").hidden = now.hosts.length === 0;
  fill("hosts", now.hosts.map((row) => [row.database, `${row.host}:${row.port}`, [row.role, row.up ? "" : "alarm"], row.in_use ? "yes" : "no",
    [time(row.lag_us), "number"], [time(row.latency_us), "number"], [row.error, "alarm"]]), "");
  fill("holders", now.holders.map((row) => [`${row.database} / ${row.user}`, row.application ? `${row.client} (${row.application})` : row.client,
    [String(row.process), "number"], [time(row.held_us), "number"], row.why]), "nobody holds a server now");
  fill("errors", now.errors.map((row) => [clock(row.time_ms / 1000), `${row.database} / ${row.user}`, row.text]), "none since the start");
  changes(now);
  before = now;
}

// What needs an earlier reading. A restart begins anew.
function changes(now) {
  const earlier = before && before.started_ms === now.started_ms && now.time_ms > before.time_ms ? before : null;
  const seconds = earlier ? (now.time_ms - earlier.time_ms) / 1000 : 0;
  const cpu = (row) => {
    const last = earlier && earlier.workers.find((other) => other.id === row.id);
    return last ? `${Math.round((100 * (row.cpu_us - last.cpu_us)) / 1e6 / seconds)} %` : "–";
  };
  fill("workers", now.workers.map((row) => [String(row.id), cpu(row), String(row.clients), String(row.servers), time(row.delay_us)]
    .map((text) => [text, "number"])), "");
  const at = now.time_ms / 1000;
  waiting.add(at, now.waiting);
  by("now-waiting").textContent = number(now.waiting);
  if (!earlier) return;
  const rates = RATES.map((name) => Math.max(0, now.totals[name] - earlier.totals[name]) / seconds);
  rate.add(at, ...rates);
  by("now-rate").textContent = rates.map(number).join(" / ");
  for (const [name, plot] of [["wait", wait], ["query", query]]) {
    const counts = difference(now.times[name], earlier.times[name]);
    const parts = [0.5, 0.95, 0.99].map((part) => quantile(part, counts, now.times.bounds_us));
    plot.add(at, ...parts);
    by(`now-${name}`).textContent = parts[2] === null ? "–" : `p99 ${time(parts[2])}`;
  }
}

async function read() {
  const patience = new AbortController();
  const late = setTimeout(() => patience.abort(), 8000);
  try {
    const answer = await fetch(SOURCE, { signal: patience.signal, cache: "no-store" });
    if (!answer.ok) throw new Error((await answer.text()).trim() || `status ${answer.status}`);
    show(await answer.json());
    by("trouble").hidden = true;
  } catch (error) {
    by("trouble").textContent = `No answer since ${before ? clock(before.time_ms / 1000) : "the start"}: ${error.message}`;
    by("trouble").hidden = false;
    by("state").textContent = "unknown";
    by("state").className = "badge bad";
  } finally {
    clearTimeout(late);
    setTimeout(read, PERIOD);
  }
}

rate = chart("chart-rate", [["transactions", "--active"], ["queries", "--login", [6, 4]]], number, 1);
waiting = chart("chart-waiting", [["clients", "--waiting"]], number, 1);
wait = chart("chart-wait", [["p50", "--idle"], ["p95", "--active"], ["p99", "--waiting"]], time, 1000);
query = chart("chart-query", [["p50", "--idle"], ["p95", "--active"], ["p99", "--waiting"]], time, 1000);
addEventListener("resize", () => charts.forEach((each) => each.fit()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((each) => each.repaint()));
read();
