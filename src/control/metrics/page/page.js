"use strict";
// Asks for counters, makes rates of the last two answers, and draws. Nothing is sent but the
// question, and every word from the server is text, never markup.

const EVERY_MS = 2000;
const PATIENCE_MS = 5000;
const KEPT_MS = 3600_000;
const $ = (id) => document.getElementById(id);

let before = null;  // the answer before the last one
let points = [];    // { at, packets, bits }: rates, the oldest first

// ---- numbers as people read them

function short(number, unit = "") {
  const steps = ["", "k", "M", "G", "T"];
  let step = 0;
  while (number >= 999.5 && step + 1 < steps.length) { number /= 1000; step += 1; }
  const isSmall = step > 0 ? number < 99.95 : number > 0 && number < 0.95;
  const digits = isSmall ? 1 : 0;
  return `${number.toFixed(digits)} ${steps[step]}${unit}`.trim();
}

function span(seconds) {
  const s = Math.floor(seconds), two = (n) => String(n).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} m`;
  return `${Math.floor(s / 86400)} d ${two(Math.floor(s / 3600) % 24)} h`;
}

function micros(time) {
  if (time < 1000) return `${time} µs`;
  return `${(time / 1000).toFixed(time < 9950 ? 1 : 0)} ms`;
}

const words = (name) => name.replaceAll("_", " ");

// ---- elements

function cell(content, kind) {
  const td = document.createElement("td");
  if (kind) td.className = kind;
  td.append(...[content].flat());
  return td;
}

function row(cells, kind) {
  const tr = document.createElement("tr");
  if (kind) tr.className = kind;
  tr.append(...cells);
  return tr;
}

// A meter with its number before it.
function meter(share, text) {
  const label = document.createElement("span"), bar = document.createElement("meter");
  label.textContent = `${text} `;
  Object.assign(bar, { min: 0, max: 1, low: 0.7, high: 0.9, optimum: 0, value: Math.min(share, 1) });
  bar.title = text;
  return cell([label, bar], "meter");
}

function fill(id, rows, none) {
  const empty = row([cell(none, "dim")]);
  $(id).replaceChildren(...(rows.length ? rows : [empty]));
}

// ---- a chart: one line over the time that is known

function svg(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// The smallest round number that is not below: 1, 2 or 5 and zeros.
function ceiling(number) {
  const power = 10 ** Math.floor(Math.log10(Math.max(number, 1)));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= number);
}

const pointed = {};  // where the pointer is over a chart, 0 to 1

function chart(id, key, unit) {
  const box = $(id), width = box.clientWidth, height = box.clientHeight;
  if (points.length < 2 || width === 0) return;
  const [first, last] = [points[0].at, points[points.length - 1].at];
  const top = ceiling(Math.max(...points.map((point) => point[key])));
  const base = height - 16;
  const x = (at) => (width * (at - first)) / Math.max(last - first, 1);
  const y = (value) => base - ((base - 14) * value) / top;
  const corner = (point) => `${x(point.at).toFixed(1)},${y(point[key]).toFixed(1)}`;
  const line = points.map(corner).join(" ");
  const level = (share) => ({ y1: y(top * share), y2: y(top * share) });
  const parts = [0, 0.5, 1].map((share) => (
    svg("line", { x1: 0, x2: width, ...level(share), class: "grid" })));
  parts.push(svg("polygon", { points: `0,${base} ${line} ${width},${base}`, class: "area" }));
  parts.push(svg("polyline", { points: line, class: "line" }));
  // Words lie over the line.
  parts.push(...[0.5, 1].map((share) => (
    svg("text", { x: 0, y: y(top * share) - 3 }, short(top * share, unit)))));
  parts.push(svg("text", { x: 0, y: height - 2 }, `${span((last - first) / 1000)} ago`));
  parts.push(svg("text", { x: width, y: height - 2, "text-anchor": "end" }, "now"));
  if (pointed[id] !== undefined) parts.push(...mark(points, key, unit, pointed[id], x, y));
  box.replaceChildren(...parts);
}

// The value under the pointer, and how long ago it was.
function mark(all, key, unit, share, x, y) {
  const at = all[0].at + share * (all[all.length - 1].at - all[0].at);
  const near = all.reduce((a, b) => (Math.abs(b.at - at) < Math.abs(a.at - at) ? b : a));
  const ago = span((all[all.length - 1].at - near.at) / 1000);
  const anchor = share > 0.5 ? "end" : "start", away = share > 0.5 ? -6 : 6;
  const text = `${short(near[key], unit)}, ${ago} ago`;
  return [
    svg("line", { x1: x(near.at), x2: x(near.at), y1: 0, y2: y(0), class: "mark" }),
    svg("text", { x: x(near.at) + away, y: 10, "text-anchor": anchor, class: "mark-word" }, text),
  ];
}

function charts() {
  chart("packets-chart", "packets", "");
  chart("bits-chart", "bits", "bit/s");
  if (points.length > 1) {
    const known = points[points.length - 1].at - points[0].at;
    $("span").textContent = `of the last ${span(known / 1000)}`;
  }
}

for (const id of ["packets-chart", "bits-chart"]) {
  $(id).addEventListener("pointermove", (event) => {
    const box = $(id).getBoundingClientRect();
    pointed[id] = (event.clientX - box.left) / box.width;
    charts();
  });
  $(id).addEventListener("pointerleave", () => { delete pointed[id]; charts(); });
}
addEventListener("resize", charts);

// ---- from counters to the page

// What a counter has grown by in a second.
function rate(now, then, seconds) {
  return Math.max(now - then, 0) / seconds;
}

function point(now, then) {
  const seconds = Math.max(now.at_ms - then.at_ms, 1) / 1000;
  const packets = rate(now.packets, then.packets, seconds);
  return { at: now.at_ms, packets, bits: 8 * rate(now.bytes, then.bytes, seconds) };
}

// The time that this share of the packets since the last answer was held for at most.
function quantile(now, then, share) {
  const counts = now.map(([bound, count], index) => [bound, count - then[index][1]]);
  const total = counts[counts.length - 1][1];
  return total > 0 ? counts.find(([, count]) => count >= share * total)[0] : null;
}

function show(now) {
  const then = before ?? now;
  const seconds = Math.max(now.now.at_ms - then.now.at_ms, 1) / 1000;
  const per = (key) => rate(now.now[key], then.now[key], seconds);
  const silent = now.workers.filter((worker) => worker === null).length;
  badge(now);
  $("about").textContent = `${now.version} on ${now.driver}, up ${span(now.now.at_ms / 1000)}`;
  $("packets").textContent = short(per("packets"));
  $("bits").textContent = short(8 * per("bytes"), "bit");
  $("allocations").textContent = now.now.allocations.toLocaleString("en");
  $("limit").textContent = `of ${now.allocations_limit.toLocaleString("en")}`;
  const nothing = now.held.map(([bound]) => [bound, 0]);
  const held = [0.5, 0.99].map((share) => quantile(now.held, before ? then.held : nothing, share));
  $("held").textContent = held[1] === null ? "–" : micros(held[1]);
  $("held-half").textContent = held[0] === null ? "" : `, p50 ${micros(held[0])}`;
  for (const key of ["dropped", "refused"]) {
    $(key).textContent = short(per(key));
    $(key).parentElement.classList.toggle("hot", per(key) >= 1);
  }
  const workers = now.workers.map((worker, index) => (
    workerRow(index, worker, then.workers[index], seconds)));
  fill("workers", workers, "");
  for (const key of ["drops", "refusals"]) {
    fill(key, reasons(now[key], then[key], seconds), "none so far");
  }
  fill("ports", now.ports.map(({ address, ports, in_use }) => row([
    cell(address), meter(in_use / ports, String(in_use)), cell(ports.toLocaleString("en")),
  ])), "none");
  certificates(now.certificates ?? []);
  const memory = now.resident_bytes === null ? "" : `memory ${short(now.resident_bytes, "B")}`;
  const limit = now.max_fds ?? "any number";
  const files = now.open_fds === null ? "" : `, open files ${now.open_fds} of ${limit}`;
  $("process").textContent = memory + files;
  document.title = `uturn: ${now.state}${silent ? `, ${silent} workers silent` : ""}`;
}

function badge(now) {
  const isReady = now.obstacle === null;
  const trouble = now.state === "serving" ? "not ready" : now.state;
  $("state").textContent = isReady ? "ready" : trouble;
  $("state").className = `badge ${isReady ? "good" : now.state === "draining" ? "warn" : "bad"}`;
  $("obstacle").hidden = isReady;
  $("obstacle").textContent = isReady ? "" : `Not ready: ${now.obstacle}`;
}

function workerRow(index, worker, then, seconds) {
  if (worker === null) {
    const silent = cell("does not answer", "bad meter");
    silent.colSpan = 5;
    return row([cell(String(index)), silent]);
  }
  const old = then ?? worker, per = (key) => rate(worker[key], old[key], seconds);
  const cpu = worker.cpu_us === null ? 0 : per("cpu_us") / 1e6;
  return row([
    cell(String(index)), meter(cpu, worker.cpu_us === null ? "–" : `${Math.round(cpu * 100)} %`),
    cell(short(per("packets"))), cell(short(8 * per("bytes"))),
    cell(worker.allocations.toLocaleString("en")), cell(short(per("dropped"))),
  ]);
}

// The reasons with most in this second first.
function reasons(now, then, seconds) {
  const all = Object.entries(now).map(([reason, count]) => (
    { reason, count, now: rate(count, then[reason] ?? (before ? 0 : count), seconds) }));
  all.sort((a, b) => b.now - a.now || b.count - a.count);
  return all.map((it) => row(
    [cell(words(it.reason)), cell(short(it.now)), cell(it.count.toLocaleString("en"))],
    it.now >= 1 ? "hot" : ""));
}

// `name`, `left_s` until it is no longer valid, and `problem` if something is wrong with it.
function certificates(list) {
  $("certificates-card").hidden = list.length === 0;
  fill("certificates", list.map(({ name, left_s, problem }) => row([
    cell(name), cell(left_s > 0 ? span(left_s) : "expired"), cell(problem ?? ""),
  ], problem || left_s < 7 * 86400 ? "hot" : "")), "");
}

// ---- asking

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// A server that was started anew begins to count again.
function restarted(now) {
  return before !== null && now.now.at_ms < before.now.at_ms;
}

async function round() {
  try {
    const now = await ask("/status.json");
    if (restarted(now)) { before = null; points = []; }
    show(now);
    if (before !== null) points.push(point(now.now, before.now));
    points = points.filter((it) => it.at > now.now.at_ms - KEPT_MS);
    before = now;
    charts();
    document.body.classList.remove("stale");
  } catch (error) {
    document.body.classList.add("stale");
    $("state").textContent = "no answer";
    $("state").className = "badge bad";
  }
  setTimeout(round, EVERY_MS);
}

async function begin() {
  const past = await ask("/history.json").catch(() => []);
  points = past.slice(1).map((now, index) => point(now, past[index]));
  round();
}

begin();
