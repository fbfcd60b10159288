"use strict";
(() => {
const started = performance.now();
const $ = (id) => document.getElementById(id);
addEventListener("error", (event) => { document.body.dataset.error = event.message; });

// ---- The data: columns of numbers -----------------------------------------------------------------------------------

const data = JSON.parse($("data").textContent);
const N = data.k.length;
const NONE = -1;
const KIND = [], CLASS = [];
for (const [number, words, name] of data.kinds) { KIND[number] = words; CLASS[number] = name; }
const hosts = data.hosts.map(([name, address], index) => ({ name: name || `host ${index}`, address, shown: true, column: 0 }));

const T = new Float64Array(N);
const K = Uint8Array.from(data.k), H = Int32Array.from(data.h), P = Int32Array.from(data.p), L = Uint32Array.from(data.l);
const FIRST = new Int32Array(N);
// The next event that tells of the same frame.
const THEN = new Int32Array(N).fill(NONE);
for (let i = 0, at = 0; i < N; i++) {
  T[i] = at += data.t[i];
  // Where a frame was first seen before the page begins, its first event here stands for it.
  FIRST[i] = i - data.f[i] >= 0 ? i - data.f[i] : i;
}
for (let i = N - 1; i >= 0; i--) if (FIRST[i] !== i) { THEN[i] = THEN[FIRST[i]]; THEN[FIRST[i]] = i; }

const SEG = new Int32Array(N).fill(NONE);
const OPTIONS = new Map(data.tcp.o), WORDS = new Map(data.others), DAMAGE = new Map(data.damages);
for (let s = 0, i = 0; s < data.tcp.i.length; s++) { i += data.tcp.i[s]; SEG[i] = s; }
const tcp = data.tcp;

// Where each frame's bytes begin in the base64 text.
const BYTES = new Map();
for (let n = 0, i = 0, at = 0; n < data.seen.length; n++) {
  i += data.seen[n];
  BYTES.set(i, at);
  at += Math.min(L[i], data.each);
}

const FLAG = [[2, "SYN"], [1, "FIN"], [4, "RST"], [8, "PSH"], [16, "ACK"], [32, "URG"], [64, "ECE"], [128, "CWR"]];
const FLAGS = Array.from({ length: 256 }, (_, flags) => FLAG.filter(([bit]) => flags & bit).map(([, name]) => name).join(",") || "no flags");

const is = (i, name) => CLASS[K[i]] === name;
const arrives = (i) => is(i, "arrived") || is(i, "refused");
const number = (i) => data.first + i;

// What became of each frame, at its first event.
const OK = 1, DROPPED = 2, DAMAGED = 4, TWICE = 8, FAULT = 16, TURN = 32;
const FATE = new Uint8Array(N);
// Arrows: from one event to another, or to nothing.
const FROM = [], TO = [], LOOK = [];
const WAITING = 16, LATE = 32;
const bands = [];
{
  const open = new Map();
  const begin = (key, band) => { const list = open.get(key) || []; list.push(band); open.set(key, list); bands.push(band); };
  const end = (key, i) => { const band = (open.get(key) || []).pop(); if (band) band.end = i; };
  for (let i = 0; i < N; i++) {
    const what = CLASS[K[i]];
    switch (what) {
      case "crash": begin(`off ${H[i]}`, { what: "off", host: H[i], start: i, end: NONE }); break;
      case "boot": end(`off ${H[i]}`, i); break;
      case "pause": begin(`pause ${H[i]}`, { what: "paused", host: H[i], start: i, end: NONE }); break;
      // Pauses may overlap; the host goes on when the last is over.
      case "resume": while (open.get(`pause ${H[i]}`)?.length) end(`pause ${H[i]}`, i); break;
      case "down": begin(`down ${H[i]} ${P[i]}`, { what: "down", host: H[i], peer: P[i], start: i, end: NONE }); break;
      case "up": end(`down ${H[i]} ${P[i]}`, i); break;
    }
    if (what === "turn") FATE[i] = TURN;
    else if (what === "dropped" || what === "cut") { FATE[i] = DROPPED; FROM.push(i); TO.push(NONE); LOOK.push(DROPPED); }
    else if (what === "sent") {
      let fate = 0, arrived = 0;
      for (let j = THEN[i]; j !== NONE; j = THEN[j]) {
        if (is(j, "damaged")) fate |= DAMAGED;
        else if (is(j, "duplicated")) fate |= TWICE;
        else if (arrives(j)) {
          if (is(j, "refused")) fate |= DROPPED;
          FROM.push(i); TO.push(j);
          LOOK.push((is(j, "refused") ? DROPPED : 0) | (fate & DAMAGED) | (arrived++ ? TWICE : 0));
        }
      }
      if (!arrived) { FROM.push(i); TO.push(NONE); LOOK.push(WAITING | (fate & DAMAGED)); }
      FATE[i] = fate || OK;
    } else if (FIRST[i] === i && !arrives(i)) FATE[i] = FAULT;
    else if (FIRST[i] === i) {
      // It was sent before the page begins.
      FATE[i] = is(i, "refused") ? DROPPED : OK; FROM.push(NONE); TO.push(i); LOOK.push(LATE | (FATE[i] & DROPPED));
    }
  }
}
const ARROWS = FROM.length;
// Frames of which something is told again later, for finding those that begin far above what is shown.
const BLOCK = 128;
const REACH = new Int32Array(Math.ceil(ARROWS / BLOCK));
for (let a = 0; a < ARROWS; a++) REACH[a / BLOCK | 0] = Math.max(REACH[a / BLOCK | 0], TO[a], FROM[a]);

// Segments whose bytes their sender had sent before.
const AGAIN = new Uint8Array(N);
// Why a host was turned: something came in, its timer ran out, or it asked to be turned once more at the same instant.
const BY = new Uint8Array(N), INPUT = 1, TIMER = 2, ITSELF = 3;
{
  const sent = new Map(), touched = new Float64Array(hosts.length).fill(-1), turned = new Float64Array(hosts.length).fill(-1);
  for (let i = 0; i < N; i++) {
    const s = SEG[i], what = CLASS[K[i]], host = H[i];
    if (s !== NONE && (what === "sent" || what === "dropped" || what === "cut") && !(tcp.g[s] & 4)) {
      const room = tcp.c[s] + (tcp.g[s] & 2 ? 1 : 0) + (tcp.g[s] & 1 ? 1 : 0), key = tcp.w[s] * 2 + tcp.d[s], end = sent.get(key) ?? -1;
      if (room && tcp.s[s] + room <= end) AGAIN[i] = 1;
      if (room) sent.set(key, Math.max(end, tcp.s[s] + room));
    }
    if (what === "arrived" || what === "boot" || what === "resume") touched[host] = T[i];
    else if (what === "turn") {
      BY[i] = touched[host] === T[i] ? INPUT : turned[host] === T[i] ? ITSELF : TIMER;
      touched[host] = -1; turned[host] = T[i];
    }
  }
}

// ---- Words ----------------------------------------------------------------------------------------------------------

const seconds = (us, digits = 6) => (us / 1e6).toFixed(digits);
const span = (us) => us < 1e3 ? `${us} µs` : us < 1e6 ? `${+(us / 1e3).toPrecision(4)} ms` : `${+(us / 1e6).toPrecision(5)} s`;
const count = (n) => n.toLocaleString("en");
const from = (i) => arrives(i) && P[i] >= 0 ? P[i] : H[i];
const to = (i) => arrives(i) && P[i] >= 0 ? H[i] : P[i];
const name = (host) => host < 0 ? "nobody" : hosts[host].name;

/** What a frame says, short enough for an arrow. */
function label(i) {
  const f = FIRST[i], s = SEG[f];
  if (s === NONE) return WORDS.has(f) ? data.words[WORDS.get(f)].replace(/^\S+ > \S+ /, "") : `${L[i]} B`;
  const len = tcp.c[s];
  return `${FLAGS[tcp.g[s]]} ${tcp.s[s]}${len ? `..${tcp.s[s] + len}` : ""}${tcp.g[s] & 16 ? ` ack ${tcp.a[s]}` : ""}${AGAIN[f] ? "  again" : ""}`;
}

const WHY = ["", "something came in", "its timer", "it asked to be, once more"];

/** One event in words, for the filter and the tip. */
function words(i) {
  const f = FIRST[i], s = SEG[f];
  const who = P[i] >= 0 ? `${name(from(i))} > ${name(to(i))}` : name(H[i]);
  const number_ = is(i, "boot") ? ` ${L[i]}` : BY[i] ? ` ${WHY[BY[i]]}${L[i] ? `, timer in ${span(L[i])}` : ", no timer"}` : "";
  if (s === NONE) return `#${number(i)} ${who} ${KIND[K[i]]}${number_} ${WORDS.has(f) ? data.words[WORDS.get(f)] : ""}`;
  return `#${number(i)} ${who} ${KIND[K[i]]} ${FLAGS[tcp.g[s]]} seq ${tcp.s[s]} ack ${tcp.a[s]} win ${tcp.n[s]} len ${tcp.c[s]} ${OPTIONS.get(f) || ""}${AGAIN[f] ? " again" : ""} flow ${tcp.w[s]}`;
}

// ---- What is shown, and where ---------------------------------------------------------------------------------------

const CHIPS = [[OK, "Delivered"], [DROPPED, "Dropped"], [DAMAGED, "Damaged"], [TWICE, "Duplicated"], [FAULT, "Faults, boots"], [TURN, "Turns"]];
const filter = { fates: OK | DROPPED | DAMAGED | TWICE | FAULT, flow: NONE, text: [] };
let scale = "steps";
const SHOWN = new Uint8Array(N);
// Where each event is on the axis: its time, or its place among those that are shown.
const X = new Float64Array(N);
let order = new Int32Array(0), length = 1, troubles = [];
// How long nothing must have happened to be pointed out: longer than between nearly all events.
let silence = 1;
// The part of the axis that is in view.
const view = { start: 0, end: 1, left: 0 };
let selected = NONE, hover = NONE;

function choose() {
  const { fates, flow, text } = filter;
  let shown = 0;
  for (let i = 0; i < N; i++) {
    const f = FIRST[i], s = SEG[f];
    SHOWN[i] = f !== i ? 0
      : (FATE[f] & fates) && (flow === NONE || s === NONE ? flow === NONE || FATE[f] === FAULT : tcp.w[s] === flow)
        && hosts[H[i]].shown && (P[i] < 0 || hosts[P[i]].shown) ? 1 : 0;
  }
  if (text.length) {
    // A frame is shown when one of its events has all the words.
    const hits = new Uint8Array(N);
    for (let i = 0; i < N; i++) {
      if (!SHOWN[FIRST[i]] || hits[FIRST[i]]) continue;
      const line = words(i).toLowerCase();
      if (text.every((word) => line.includes(word))) hits[FIRST[i]] = 1;
    }
    for (let i = 0; i < N; i++) if (FIRST[i] === i) SHOWN[i] &= hits[i];
  }
  for (let i = 0; i < N; i++) { SHOWN[i] = SHOWN[FIRST[i]]; shown += SHOWN[i]; }
  order = new Int32Array(shown);
  troubles = [];
  for (let i = 0, n = 0; i < N; i++) {
    if (!SHOWN[i]) continue;
    order[n++] = i;
    if (is(i, "dropped") || is(i, "refused") || is(i, "cut") || is(i, "damaged") || is(i, "crash") || is(i, "down") || is(i, "pause")) troubles.push(i);
  }
  document.body.dataset.shown = shown;
  $("next").textContent = `Trouble ${count(troubles.length)} ▼`;
  axis();
}

function axis() {
  for (let i = 0, n = 0; i < N; i++) X[i] = scale === "time" ? T[i] : SHOWN[i] ? n++ : n - .5;
  length = scale === "time" ? Math.max(T[N - 1] || 0, data.now, 1) : Math.max(order.length - 1, 1);
  const gaps = Float64Array.from(order.subarray(1), (i, n) => T[i] - T[order[n]]).sort();
  silence = Math.max(2 * (gaps[Math.floor(gaps.length * .97)] || 0), 1000);
  let column = 0;
  for (const host of hosts) host.column = host.shown ? column++ : NONE;
}

/** The first index of a sorted column whose value is not below this one. */
function search(column, value, size = column.length) {
  let low = 0, high = size;
  while (low < high) { const middle = (low + high) >> 1; if (column[middle] < value) low = middle + 1; else high = middle; }
  return low;
}

/** How many of the events that are shown lie before a place on the axis. */
function before(x) {
  let low = 0, high = order.length;
  while (low < high) { const middle = (low + high) >> 1; if (X[order[middle]] < x) low = middle + 1; else high = middle; }
  return low;
}

function timeAt(x) {
  if (scale === "time" || !N) return x;
  const n = Math.min(Math.max(x, 0), order.length - 1), i = Math.floor(n);
  if (!order.length) return 0;
  const a = T[order[i]], b = T[order[Math.min(i + 1, order.length - 1)]];
  return a + (b - a) * (n - i);
}

function placeOf(time) {
  if (scale === "time" || !order.length) return time;
  let low = 0, high = order.length;
  while (low < high) { const middle = (low + high) >> 1; if (T[order[middle]] < time) low = middle + 1; else high = middle; }
  if (low === 0 || low === order.length) return low && low - 1;
  const a = T[order[low - 1]], b = T[order[low]];
  return low - 1 + (b > a ? (time - a) / (b - a) : 1);
}

// ---- Drawing --------------------------------------------------------------------------------------------------------

const ladder = $("ladder"), plot = $("plot"), laneCanvas = $("lanes"), details = $("details"), tip = $("tip");
const HEAD = 34, GUTTER = 104, LANE = 7;
let color = {}, size = { w: 1, h: 1, col: 200 };

function colors() {
  const style = getComputedStyle(document.documentElement);
  color = {};
  for (const key of ["ground", "panel", "raised", "line", "faint", "ink", "soft", "mute", "bad", "warn", "twice", "good", "mark", "f0", "f1", "f2", "f3", "f4", "f5"])
    color[key] = style.getPropertyValue(`--${key}`).trim();
  color.mono = style.getPropertyValue("--mono");
  color.sans = style.getPropertyValue("--sans");
}

function prepare(canvas) {
  const ratio = devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio);
    canvas.height = Math.round(h * ratio);
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, w, h);
  return [g, w, h];
}

const flowColor = (i) => { const s = SEG[FIRST[i]]; return s === NONE ? color.soft : color[`f${tcp.w[s] % 6}`]; };
const pixels = () => (size.h - HEAD - 8) / (view.end - view.start);
const yOf = (x) => HEAD + 4 + (x - view.start) * pixels();
const xOf = (host) => GUTTER + size.col * (hosts[host].column + .5) - view.left;

// What was drawn last, to be pointed at.
let drawn = [];

function draw() {
  const began = performance.now();
  const [g, w, h] = prepare(ladder);
  const columns = hosts.reduce((n, host) => n + host.shown, 0) || 1;
  size = { w, h, col: Math.max((w - GUTTER) / columns, 150) };
  view.left = Math.min(Math.max(view.left, 0), Math.max(size.col * columns - (w - GUTTER), 0));
  const px = pixels();
  const low = search(X, view.start), high = search(X, view.end + 1e-9 + 12 / px);
  g.lineJoin = "round";
  g.save();
  g.beginPath(); g.rect(GUTTER, HEAD, w - GUTTER, h - HEAD); g.clip();
  if (scale === "time") {
    g.fillStyle = color.faint;
    for (const t of times()) g.fillRect(GUTTER, yOf(t), w, 1);
  }
  drawBands(g);
  for (let host = 0; host < hosts.length; host++) {
    if (!hosts[host].shown) continue;
    const x = xOf(host);
    if (x < GUTTER - 20 || x > w + 20) continue;
    g.fillStyle = color.line; g.fillRect(x - .75, HEAD, 1.5, h - HEAD);
  }
  drawTurns(g, low, high);
  const events = before(view.end) - before(view.start);
  drawn = [];
  if (events > 3 * (h - HEAD)) drawDensity(g, low, high);
  else drawArrows(g, low, high, px, events);
  drawMarks(g, low, high);
  g.restore();
  drawGutter(g, low, high, px);
  drawHead(g);
  drawPlotOver();
  drawLanes();
  document.body.dataset.drawMs = (performance.now() - began).toFixed(1);
}

function drawBands(g) {
  for (const band of bands) {
    const end = band.end === NONE ? length : X[band.end];
    if (X[band.start] > view.end || end < view.start) continue;
    if (!hosts[band.host].shown || (band.peer >= 0 && !hosts[band.peer].shown)) continue;
    const top = Math.max(yOf(X[band.start]), HEAD), bottom = Math.max(Math.min(yOf(end), size.h), top + 2);
    const x = xOf(band.host);
    if (band.what === "down") {
      // One direction is the half of the link at its sender; both fill it.
      const far = (x + xOf(band.peer)) / 2;
      g.globalAlpha = .13; g.fillStyle = color.bad;
      g.fillRect(Math.min(x, far), top, Math.abs(far - x), bottom - top);
      g.globalAlpha = .8; g.fillRect(Math.min(x, far), top, Math.abs(far - x), 1); g.fillRect(Math.min(x, far), bottom - 1, Math.abs(far - x), 1);
      if (bottom - top > 14) {
        g.font = `600 11px ${color.sans}`; g.textAlign = "center"; g.textBaseline = "top"; g.globalAlpha = 1;
        g.fillText(`${name(band.host)} → ${name(band.peer)} down`, (x + far) / 2, Math.min(top + 3, bottom - 13), Math.abs(far - x) - 8);
      }
    } else {
      const tone = band.what === "off" ? color.bad : color.warn;
      g.globalAlpha = .22; g.fillStyle = tone; g.fillRect(x - 15, top, 30, bottom - top);
      g.globalAlpha = .9; g.fillRect(x - 15, top, 30, 1.5); g.fillRect(x - 15, bottom - 1.5, 30, 1.5);
      if (bottom - top > 44) {
        g.save(); g.globalAlpha = 1; g.translate(x, (top + bottom) / 2); g.rotate(-Math.PI / 2);
        g.font = `600 12px ${color.sans}`; g.textAlign = "center"; g.textBaseline = "middle";
        g.fillText(band.what, 0, -8); g.restore();
      }
    }
    g.globalAlpha = 1;
  }
}

/** When each host was active: a tick on its line for each turn, wider where its timer ran out; a row of pixels once. */
function drawTurns(g, low, high) {
  const last = new Float64Array(hosts.length).fill(-9);
  for (let i = low; i < high; i++) {
    if (FATE[i] !== TURN || !hosts[H[i]].shown) continue;
    const y = Math.round(yOf(X[i]));
    if (last[H[i]] === y) continue;
    last[H[i]] = y;
    const wide = BY[i] === TIMER ? LANE + 5 : LANE;
    g.fillStyle = BY[i] === TIMER ? color.mark : color.mute;
    g.fillRect(xOf(H[i]) - wide / 2, y, wide, 1);
  }
}

/** Far more frames than lines: how many went which way, as bars from their sender; what was lost is at the beginning. */
function drawDensity(g, low, high) {
  const ROW = 2, rows = Math.ceil((size.h - HEAD) / ROW), ways = new Map(), fates = [DROPPED, DAMAGED, TWICE, OK];
  let most = 1;
  for (let i = low; i < high; i++) {
    if (!SHOWN[i] || FIRST[i] !== i || FATE[i] & (TURN | FAULT) || P[i] < 0) continue;
    const key = from(i) * hosts.length + to(i), row = Math.floor((yOf(X[i]) - HEAD) / ROW);
    if (row < 0 || row >= rows) continue;
    let way = ways.get(key);
    if (!way) ways.set(key, way = { from: from(i), to: to(i), counts: new Uint32Array(rows * 4) });
    way.counts[row * 4 + fates.findIndex((fate) => FATE[i] & fate)]++;
  }
  for (const { counts } of ways.values())
    for (let at = 0; at < counts.length; at += 4) most = Math.max(most, counts[at] + counts[at + 1] + counts[at + 2] + counts[at + 3]);
  const tones = [color.bad, color.warn, color.twice, color.f0];
  for (const way of ways.values()) {
    const x = xOf(way.from), side = Math.sign(xOf(way.to) - x) || 1, full = Math.abs(xOf(way.to) - x) * .47;
    for (let row = 0; row < rows; row++) {
      let at = x + side * (LANE / 2 + 2);
      for (let fate = 0; fate < 4; fate++) {
        const n = way.counts[row * 4 + fate];
        if (!n) continue;
        const wide = Math.max(n / most * full, fate < 3 ? 3 : 1);
        g.globalAlpha = fate < 3 ? 1 : .5; g.fillStyle = tones[fate];
        g.fillRect(side > 0 ? at : at - wide, HEAD + row * ROW, wide, ROW);
        at += side * wide;
      }
    }
  }
  g.globalAlpha = 1;
}

function drawArrows(g, low, high, px, events) {
  const rows = new Map();
  // In time, words fit while there are few; in steps, when each line is high enough.
  const labels = scale === "time" ? events < 700 : px >= 12.5;
  const dense = scale === "time" ? events > 1500 : px < 5;
  const free = new Map();
  // Trouble is drawn last, above all else.
  for (const trouble of [false, true]) {
    for (let block = 0; block < REACH.length; block++) {
      if (REACH[block] < low) continue;
      const start = block * BLOCK;
      const first = FROM[start] === NONE ? TO[start] : FROM[start];
      if (first >= high) break;
      for (let a = start; a < Math.min(start + BLOCK, ARROWS); a++) {
        const look = LOOK[a];
        if (((look & (DROPPED | DAMAGED)) !== 0) !== trouble) continue;
        const i = FROM[a], j = TO[a], any = i === NONE ? j : i;
        if (!SHOWN[any] || any >= high || Math.max(i, j) < low) continue;
        drawArrow(g, i, j, look, px, rows, dense, labels);
      }
    }
  }
  if (!labels) return;
  g.font = `12px ${color.mono}`;
  g.textBaseline = "middle";
  const letter = g.measureText("0").width;
  for (const [from_, x1, y1, x2, , look, tone] of drawn) {
    if (from_ === NONE || y1 < HEAD - 6 || y1 > size.h + 6 || (look & TWICE && !(look & DROPPED))) continue;
    const side = x2 >= x1 ? 1 : -1, key = `${x1} ${side}`;
    if (scale === "time" && y1 - (free.get(key) ?? -99) < 13) continue;
    free.set(key, y1);
    g.textAlign = side > 0 ? "left" : "right";
    const f = FIRST[from_];
    let text = label(from_);
    if (look & DAMAGED) text += "  damaged";
    if (look & WAITING) text += "  under way";
    if (FATE[f] & TWICE) text += "  twice";
    const x = x1 + side * 12, room = size.col - 40;
    // In steps a line is one event's alone, all the way to the other host.
    const fit = Math.floor((scale === "steps" ? Math.max(room, Math.abs(x2 - x1) - 30) : room) / letter);
    if (text.length > fit) text = `${text.slice(0, fit - 1)}…`;
    const wide = text.length * letter;
    g.globalAlpha = .82; g.fillStyle = color.panel;
    g.fillRect(side > 0 ? x - 3 : x - wide - 3, y1 - 7, wide + 6, 13);
    g.globalAlpha = 1; g.fillStyle = tone;
    g.fillText(text, x, y1);
  }
}

function drawArrow(g, i, j, look, px, rows, dense, labels) {
  let x1, y1, x2, y2;
  if (i !== NONE) { x1 = xOf(H[i]); y1 = yOf(X[i]); } else { x1 = P[j] >= 0 ? xOf(P[j]) : xOf(H[j]); y1 = HEAD; }
  if (j !== NONE) { x2 = xOf(H[j]); y2 = yOf(X[j]); }
  else {
    const far = P[i] >= 0 ? xOf(P[i]) : x1 + 90;
    const part = look & WAITING ? .9 : P[i] >= 0 ? .36 : 1;
    x2 = x1 + (far - x1) * part;
    y2 = look & WAITING ? Math.max(yOf(length), y1 + 12) : y1 + Math.min(px * .8, 12);
  }
  if (Math.max(y1, y2) < HEAD || Math.min(y1, y2) > size.h) return;
  if ((x1 < GUTTER && x2 < GUTTER) || (x1 > size.w && x2 > size.w)) return;
  const tone = look & DROPPED ? color.bad : look & DAMAGED ? color.warn : look & TWICE ? color.twice : flowColor(i === NONE ? j : i);
  // Lines that would lie upon each other are drawn once, however many they are.
  if (px < 3 || scale === "time") {
    const key = `${x1 | 0} ${x2 | 0} ${tone} ${y2 | 0}`;
    if (rows.get(key) === (y1 | 0)) return;
    rows.set(key, y1 | 0);
  }
  g.strokeStyle = g.fillStyle = tone;
  g.lineWidth = look & (DROPPED | DAMAGED | TWICE) ? 1.6 : dense ? .7 : 1.1;
  g.globalAlpha = look & (DROPPED | DAMAGED | TWICE) ? 1 : dense ? .55 : .8;
  g.setLineDash(look & WAITING ? [3, 4] : look & TWICE ? [6, 4] : []);
  g.beginPath(); g.moveTo(x1, y1); g.lineTo(x2, y2); g.stroke();
  g.setLineDash([]);
  g.globalAlpha = 1;
  if (j !== NONE && !dense && !(look & DROPPED)) {
    const angle = Math.atan2(y2 - y1, x2 - x1), head = px < 9 && scale === "steps" ? 5 : 8;
    g.beginPath(); g.moveTo(x2, y2);
    g.lineTo(x2 - head * Math.cos(angle - .35), y2 - head * Math.sin(angle - .35));
    g.lineTo(x2 - head * Math.cos(angle + .35), y2 - head * Math.sin(angle + .35));
    g.fill();
  }
  if (look & DROPPED) {
    const r = dense ? 2.5 : 5;
    g.lineWidth = dense ? 1.2 : 2;
    g.beginPath(); g.moveTo(x2 - r, y2 - r); g.lineTo(x2 + r, y2 + r); g.moveTo(x2 - r, y2 + r); g.lineTo(x2 + r, y2 - r); g.stroke();
    if (labels) {
      const why = KIND[K[j === NONE ? i : j]].replace("frame dropped: ", ""), side = x2 >= x1 ? 1 : -1;
      g.font = `600 12px ${color.sans}`; g.textBaseline = "middle"; g.textAlign = side > 0 ? "left" : "right";
      g.lineWidth = 3.5; g.strokeStyle = color.panel;
      g.strokeText(why, x2 + side * 10, y2); g.fillText(why, x2 + side * 10, y2);
    }
  } else if (look & DAMAGED && !dense) {
    const mx = x1 + (x2 - x1) * .8, my = y1 + (y2 - y1) * .8;
    g.beginPath(); g.moveTo(mx, my - 6); g.lineTo(mx + 6, my + 5); g.lineTo(mx - 6, my + 5); g.closePath(); g.fill();
  }
  drawn.push([i, x1, y1, x2, y2, look, tone, j]);
}

/** Boots, crashes and what else happens to a host, and what is chosen. */
function drawMarks(g, low, high) {
  g.textBaseline = "middle";
  const last = new Map();
  for (let i = low; i < high; i++) {
    const what = CLASS[K[i]];
    if (!hosts[H[i]].shown || !["boot", "crash", "pause", "resume", "other"].includes(what)) continue;
    const x = xOf(H[i]), y = yOf(X[i]);
    const tone = what === "crash" ? color.bad : what === "boot" || what === "resume" ? color.good : color.warn;
    g.fillStyle = tone;
    g.beginPath(); g.arc(x, y, 4.5, 0, 7); g.fill();
    if (y - (last.get(H[i]) ?? -99) < 12) continue;
    last.set(H[i], y);
    g.font = `600 12px ${color.sans}`; g.textAlign = "left"; g.lineWidth = 3.5; g.strokeStyle = color.panel;
    const text = what === "boot" ? `boot ${L[i]}` : KIND[K[i]];
    g.strokeText(text, x + 11, y); g.fillText(text, x + 11, y);
  }
  for (const [i, tone] of [[hover, color.mute], [selected, color.mark]]) {
    if (i === NONE) continue;
    for (let j = FIRST[i]; j !== NONE; j = THEN[j]) {
      const y = yOf(X[j]);
      if (y < HEAD || y > size.h || !hosts[H[j]].shown) continue;
      g.strokeStyle = tone; g.lineWidth = j === i ? 2.5 : 1.5;
      g.beginPath(); g.arc(xOf(H[j]), y, j === i ? 7 : 5, 0, 7); g.stroke();
    }
    const y = yOf(X[i]);
    if (i === selected && y >= HEAD && y <= size.h) { g.globalAlpha = .1; g.fillStyle = tone; g.fillRect(GUTTER, y - 8, size.w, 16); g.globalAlpha = 1; }
    for (const line of drawn) {
      if ((line[0] === NONE ? line[7] : FIRST[line[0]]) !== FIRST[i]) continue;
      g.strokeStyle = tone; g.lineWidth = 2.5; g.globalAlpha = .7;
      g.beginPath(); g.moveTo(line[1], line[2]); g.lineTo(line[3], line[4]); g.stroke(); g.globalAlpha = 1;
    }
  }
}

const ticks = (lowest, highest, most) => {
  const raw = (highest - lowest) / Math.max(most, 1), unit = 10 ** Math.floor(Math.log10(Math.max(raw, 1e-9)));
  return Math.max([1, 2, 5, 10].find((m) => m * unit >= raw) * unit, 1);
};

/** Round times in view, a label's height apart. */
function times() {
  const step = ticks(view.start, view.end, size.h / 46), list = [];
  for (let t = Math.max(Math.ceil(view.start / step) * step, 0); t <= view.end && list.length < 500; t += step) list.push(t);
  return list;
}

function drawGutter(g, low, high, px) {
  g.fillStyle = color.panel; g.fillRect(0, HEAD, GUTTER - 1, size.h);
  g.fillStyle = color.line; g.fillRect(GUTTER - 1, HEAD, 1, size.h);
  g.font = `12px ${color.mono}`; g.textAlign = "right"; g.textBaseline = "middle";
  if (scale === "time") {
    g.fillStyle = color.soft;
    for (const t of times()) g.fillText(seconds(t), GUTTER - 8, yOf(t));
    return;
  }
  // Steps: the time where it changes and there is room, and how long nothing happened before.
  let last = -99, lastTime = -1;
  const stride = px >= 2 ? 1 : Math.ceil(26 / px);
  for (let n = Math.max(Math.ceil(view.start), 0); n <= Math.min(view.end, order.length - 1); n += stride) {
    const i = order[n], y = yOf(n), gap = n > 0 ? T[i] - T[order[n - 1]] : 0;
    if (gap >= silence && px >= 2) {
      const edge = y - Math.min(px / 2, 8);
      g.strokeStyle = color.mute; g.lineWidth = 1; g.setLineDash([2, 4]);
      g.beginPath(); g.moveTo(GUTTER, edge); g.lineTo(size.w, edge); g.stroke(); g.setLineDash([]);
      if (px >= 9) {
        const text = `+${span(gap)}`, wide = g.measureText(text).width;
        g.fillStyle = color.panel; g.fillRect(GUTTER + 6, edge - 7, wide + 8, 14);
        g.textAlign = "left"; g.fillStyle = color.warn; g.fillText(text, GUTTER + 10, edge); g.textAlign = "right";
      }
    }
    if (y - last < (px >= 12.5 ? 12 : 26) || T[i] === lastTime || y < HEAD + 6) continue;
    g.fillStyle = color.soft; g.fillText(seconds(T[i]), GUTTER - 8, y);
    last = y; lastTime = T[i];
  }
}

function drawHead(g) {
  g.fillStyle = color.raised; g.fillRect(0, 0, size.w, HEAD);
  g.fillStyle = color.line; g.fillRect(0, HEAD - 1, size.w, 1);
  g.save(); g.beginPath(); g.rect(GUTTER, 0, size.w, HEAD); g.clip();
  g.textAlign = "center"; g.textBaseline = "middle";
  for (let host = 0; host < hosts.length; host++) {
    if (!hosts[host].shown) continue;
    const x = xOf(host), room = size.col - 12;
    if (x < GUTTER - size.col || x > size.w + size.col) continue;
    g.font = `600 14px ${color.sans}`; g.fillStyle = color.ink;
    g.fillText(hosts[host].name, x, 12, room);
    g.font = `11px ${color.mono}`; g.fillStyle = color.soft;
    g.fillText(hosts[host].address, x, 26, room);
  }
  // Columns that do not fit.
  const beyond = hosts.reduce((n, host, index) => n + (host.shown && xOf(index) > size.w - 20), 0), gone = hosts.reduce((n, host, index) => n + (host.shown && xOf(index) < GUTTER), 0);
  g.font = `600 12px ${color.sans}`;
  for (const [n, x, align, text] of [[beyond, size.w, "right", `${beyond} ▶`], [gone, GUTTER, "left", `◀ ${gone}`]]) {
    if (!n) continue;
    const wide = g.measureText(text).width + 16;
    g.fillStyle = color.ink; g.fillRect(align === "right" ? x - wide : x, 0, wide, HEAD - 1);
    g.fillStyle = color.ground; g.textAlign = align; g.fillText(text, align === "right" ? x - 8 : x + 8, HEAD / 2);
  }
  g.restore();
  g.textAlign = "right"; g.font = `12px ${color.sans}`; g.fillStyle = color.soft; g.textBaseline = "middle";
  g.fillText("seconds", GUTTER - 8, HEAD / 2);
}

// ---- Throughput -----------------------------------------------------------------------------------------------------

// When something was wrong, each time once: pauses, and all else.
const shades = [true, false].flatMap((paused) => {
  const merged = [];
  for (const band of bands.filter((each) => (each.what === "paused") === paused)) {
    const end = band.end === NONE ? data.now : T[band.end], last = merged[merged.length - 1];
    if (last && T[band.start] <= last[1]) last[1] = Math.max(last[1], end); else merged.push([T[band.start], end, paused]);
  }
  return merged;
});
let series = [], binned = null, peak = 1, losses = null;
const PAD = { left: GUTTER, right: 14, top: 24, bottom: 18 };
const whole = () => Math.max(data.now, T[N - 1] || 0, 1) - origin();
const origin = () => data.first ? T[0] : 0;
// The part of the run that the throughput is shown of.
const part = { start: 0, end: 1 };
const plotX = (time, w) => PAD.left + (time - part.start) / (part.end - part.start) * (w - PAD.left - PAD.right);
const plotTime = (x, w) => part.start + Math.min(Math.max((x - PAD.left) / (w - PAD.left - PAD.right), 0), 1) * (part.end - part.start);
function plotPart(start_, end_) {
  const width = Math.min(Math.max(end_ - start_, 100), whole());
  part.start = Math.min(Math.max(start_, origin()), origin() + whole() - width);
  part.end = part.start + width;
  binned = null;
  redraw();
}

function bin(w) {
  const bins = Math.max(Math.floor((w - PAD.left - PAD.right) / 3), 10);
  const ways = new Map();
  losses = new Uint16Array(bins);
  for (let i = search(T, part.start), end = search(T, part.end + 1e-9); i < end; i++) {
    const b = Math.min(Math.floor((T[i] - part.start) / (part.end - part.start) * bins), bins - 1);
    if (is(i, "arrived") && SHOWN[i] && P[i] >= 0) {
      const key = P[i] * hosts.length + H[i];
      let way = ways.get(key);
      if (!way) ways.set(key, way = { from: P[i], to: H[i], total: 0, bins: new Float64Array(bins) });
      way.bins[b] += L[i]; way.total += L[i];
    } else if (SHOWN[i] && (is(i, "dropped") || is(i, "refused") || is(i, "cut"))) losses[b]++;
  }
  series = [...ways.values()].sort((a, b) => b.total - a.total).slice(0, 6);
  peak = Math.max(1, ...series.map((way) => way.bins.reduce((most, bytes) => Math.max(most, bytes), 0)));
  binned = { w, bins };
  binLanes(w);
  $("legend").replaceChildren(...series.map((way, n) => {
    const item = document.createElement("span"), mark = document.createElement("i");
    mark.style.background = color[`f${n}`];
    item.append(mark, `${name(way.from)} → ${name(way.to)}`);
    return item;
  }));
  for (const [tone_, kind, text] of [[color.mute, "turn", "turned by a frame"], [color.mark, "turn", "by its timer"], [color.mark, "", "timer set"]]) {
    const item = document.createElement("span"), mark = document.createElement("i");
    mark.style.background = tone_; mark.className = kind;
    item.append(mark, text);
    $("legend").append(item);
  }
}

// ---- Hosts, turn by turn --------------------------------------------------------------------------------------------

// By host and pixel: whether a frame turned it there, or its timer, and whether it had set one.
const SET = 4;
let lanes = [];
const laneHeight = () => { const rows = hosts.filter((host) => host.shown).length; return rows <= 10 ? 15 : rows <= 25 ? 7 : Math.max(160 / rows, 2); };

function binLanes(w) {
  const left = PAD.left, right = w - PAD.right, pixel = (time) => Math.min(Math.max(Math.round(plotX(time, w)), left), right);
  lanes = hosts.map(() => new Uint8Array(w + 1));
  // The turn of each host whose timer may still run: where it was, and until when.
  const open = hosts.map(() => null);
  const close = (host, time) => {
    const turn = open[host];
    if (!turn) return;
    const end = pixel(Math.min(turn.until, time));
    if (Math.min(turn.until, time) >= part.start) for (let x = pixel(turn.at); x <= end; x++) lanes[host][x] |= SET;
    open[host] = null;
  };
  const first = search(T, part.start), end = search(T, part.end + 1e-9);
  // Of what was set before: so far back and no further.
  for (let i = Math.max(first - 50000, 0); i < end; i++) {
    const host = H[i];
    if (FATE[i] === TURN) {
      close(host, T[i]);
      if (L[i]) open[host] = { at: T[i], until: T[i] + L[i] };
      if (i >= first) lanes[host][pixel(T[i])] |= BY[i] === TIMER ? TIMER : INPUT;
    } else if (is(i, "crash")) close(host, T[i]);
  }
  hosts.forEach((_, host) => close(host, end < N ? T[end] : part.end));
}

function drawLanes() {
  const box = $("lanesbox"), tall = laneHeight(), rows = hosts.filter((host) => host.shown).length;
  box.style.height = `${rows * tall + 6}px`;
  const [g, w, h] = prepare(laneCanvas);
  if (!rows) return;
  const left = PAD.left, right = w - PAD.right;
  let row = 0;
  hosts.forEach((host, index) => {
    if (!host.shown) return;
    const top = 3 + row++ * tall, high = Math.max(tall - (tall > 8 ? 4 : 1), 1), low = top + high;
    host.lane = top;
    g.fillStyle = color.faint; g.fillRect(left, top, right - left, high);
    for (const band of bands) {
      if (band.host !== index || band.what === "down") continue;
      const a = Math.max(plotX(T[band.start], w), left), b = Math.min(plotX(band.end === NONE ? data.now : T[band.end], w), right);
      if (b < left || a > right) continue;
      g.globalAlpha = .35; g.fillStyle = band.what === "off" ? color.bad : color.warn;
      g.fillRect(a, top, Math.max(b - a, 1.5), high); g.globalAlpha = 1;
    }
    const lane = lanes[index];
    const line = Math.max(Math.min(high / 5, 2), 1);
    for (let x = left; x <= right; x++) {
      const what = lane[x];
      if (!what) continue;
      if (what & SET) { g.fillStyle = color.mark; g.globalAlpha = .55; g.fillRect(x, low - line, 1, line); g.globalAlpha = 1; }
      if (what & INPUT) { g.fillStyle = color.mute; g.fillRect(x, top, 1, high); }
      if (what & TIMER) { g.fillStyle = color.mark; g.fillRect(x, top, 1, high); }
    }
    if (tall >= 11) {
      g.font = `12px ${color.sans}`; g.textAlign = "right"; g.textBaseline = "middle"; g.fillStyle = color.soft;
      g.fillText(host.name, left - 8, top + high / 2 + .5, left - 14);
    }
  });
  const a = plotX(timeAt(view.start), w), b = Math.max(plotX(timeAt(view.end), w), a + 3);
  g.save(); g.beginPath(); g.rect(left - 2, 0, right - left + 4, h); g.clip();
  g.globalAlpha = .14; g.fillStyle = color.mark; g.fillRect(a, 0, b - a, h); g.globalAlpha = 1;
  if (selected !== NONE) { g.fillStyle = color.ink; g.fillRect(plotX(T[selected], w) - .75, 0, 1.5, h); }
  g.restore();
}

/** The turn that was drawn nearest to a place in the lanes. */
function turnAt(x, y) {
  const host = hosts.findIndex((each) => each.shown && y >= each.lane - 2 && y < each.lane - 2 + laneHeight());
  if (host < 0) return NONE;
  const time = plotTime(x, laneCanvas.clientWidth), from_ = search(T, time);
  let back = from_ - 1, on = from_;
  while (back >= 0 && !(FATE[back] === TURN && H[back] === host)) back--;
  while (on < N && !(FATE[on] === TURN && H[on] === host)) on++;
  if (back < 0) return on < N ? on : NONE;
  return on < N && T[on] - time < time - T[back] ? on : back;
}

const rate = (bytes, bins) => {
  const bits = bytes * 8 / ((part.end - part.start) / bins) * 1e6;
  for (const [unit, per] of [["Gbit/s", 1e9], ["Mbit/s", 1e6], ["kbit/s", 1e3]]) if (bits >= per) return `${+(bits / per).toPrecision(3)} ${unit}`;
  return `${+bits.toPrecision(3)} bit/s`;
};

function drawPlotOver() {
  const [g, w, h] = prepare(plot);
  if (!binned || binned.w !== w) bin(w);
  const { bins } = binned, bottom = h - PAD.bottom, tall = bottom - PAD.top, wide = (w - PAD.left - PAD.right) / bins;
  g.save();
  g.beginPath(); g.rect(PAD.left - 2, 0, w - PAD.left - PAD.right + 4, h); g.clip();
  g.globalAlpha = .16;
  for (const [start_, end_, paused] of shades) {
    const a = plotX(start_, w), b = plotX(end_, w);
    g.fillStyle = paused ? color.warn : color.bad;
    g.fillRect(a, PAD.top - 4, Math.max(b - a, 1.5), tall + 4);
  }
  g.globalAlpha = 1;
  series.forEach((way, n) => {
    g.strokeStyle = g.fillStyle = color[`f${n}`]; g.lineWidth = 1.4;
    g.beginPath(); g.moveTo(PAD.left, bottom);
    for (let b = 0; b < bins; b++) {
      const y = bottom - way.bins[b] / peak * tall;
      g.lineTo(PAD.left + b * wide, y); g.lineTo(PAD.left + (b + 1) * wide, y);
    }
    g.lineTo(w - PAD.right, bottom); g.stroke(); g.globalAlpha = .12; g.fill(); g.globalAlpha = 1;
  });
  g.fillStyle = color.bad;
  for (let b = 0; b < bins; b++) if (losses[b]) g.fillRect(PAD.left + b * wide, bottom, Math.max(wide - .5, 1), 4);
  g.restore();
  g.strokeStyle = color.line; g.lineWidth = 1;
  g.beginPath(); g.moveTo(PAD.left, bottom + .5); g.lineTo(w - PAD.right, bottom + .5); g.stroke();
  g.font = `11px ${color.mono}`; g.fillStyle = color.soft; g.textBaseline = "middle"; g.textAlign = "right";
  g.fillText(rate(peak, bins), PAD.left - 8, PAD.top); g.fillText("0", PAD.left - 8, bottom);
  const step_ = ticks(part.start, part.end, (w - PAD.left) / 110);
  g.textAlign = "center"; g.textBaseline = "top";
  for (let t = Math.ceil(part.start / step_) * step_, n = 0; t <= part.end && n < 100; t += step_, n++)
    g.fillText(`${+(t / 1e6).toFixed(6)} s`, Math.min(plotX(t, w), w - 26), bottom + 5);
  // What the ladder shows.
  g.save();
  g.beginPath(); g.rect(PAD.left - 2, 0, w - PAD.left - PAD.right + 4, h); g.clip();
  const a = plotX(timeAt(view.start), w), b = Math.max(plotX(timeAt(view.end), w), a + 3);
  g.globalAlpha = .14; g.fillStyle = color.mark; g.fillRect(a, 2, b - a, bottom - 2);
  g.globalAlpha = 1; g.strokeStyle = color.mark; g.lineWidth = 1.5; g.strokeRect(a, 2, b - a, bottom - 2);
  if (selecting) { g.globalAlpha = .25; g.fillRect(Math.min(selecting[0], selecting[1]), 2, Math.abs(selecting[1] - selecting[0]), bottom - 2); g.globalAlpha = 1; }
  if (selected !== NONE) { g.fillStyle = color.ink; g.fillRect(plotX(T[selected], w) - .75, 2, 1.5, bottom); }
  g.restore();
}

// ---- Moving about ---------------------------------------------------------------------------------------------------

let asked = false;
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; draw(); range(); });
}

function range() {
  for (const [id, x] of [["from", view.start], ["to", view.end]])
    if (document.activeElement !== $(id)) $(id).value = seconds(timeAt(Math.min(Math.max(x, 0), length)));
}

const least = () => scale === "time" ? 20 : 4;
function show(start, end) {
  const margin = scale === "time" ? length * .01 : 1;
  let width = Math.min(Math.max(end - start, least()), length + 2 * margin);
  let first = start + (end - start - width) / 2;
  first = Math.min(Math.max(first, -margin), length + margin - width);
  view.start = first; view.end = first + width;
  redraw();
}

function zoom(factor, at = (view.start + view.end) / 2) { show(at - (at - view.start) * factor, at + (view.end - at) * factor); }
function pan(by) { show(view.start + by, view.end + by); }

/** As much as is legible, from an event on. */
function start(at = 0) {
  const rows = Math.max((ladder.clientHeight - HEAD) / 19, 10);
  if (scale === "steps") show(at - 1, at - 1 + rows);
  else if (order.length <= rows) show(0, length);
  else { const n = Math.min(Math.floor(before(at) + rows * 3), order.length - 1); show(at, Math.max(T[order[n]], at + 100)); }
}

function rescale(to_) {
  const time = timeAt(view.start), end = timeAt(view.end);
  scale = to_;
  axis();
  press();
  const a = placeOf(time), b = placeOf(end);
  if (scale === "steps") start(Math.max(a, 0)); else show(a, Math.max(b, a + least()));
}

function select(i, reveal = true) {
  selected = i;
  if (i !== NONE) {
    if (reveal) {
      const x = X[i], edge = (view.end - view.start) * .08;
      if (x < view.start + edge || x > view.end - edge) { const half = (view.end - view.start) / 2; show(x - half, x + half); }
      const column = xOf(H[i]);
      if (column < GUTTER + 20 || column > size.w - 20) view.left += column - size.w / 2;
    }
    try { history.replaceState(null, "", `#${number(i)}`); } catch { /* Some browsers do not let files do that. */ }
  }
  document.body.dataset.selected = i === NONE ? "" : number(i);
  describe();
  redraw();
}

function step(by) {
  if (!order.length) return;
  if (selected === NONE) return select(order[Math.min(Math.max(Math.ceil(view.start), 0), order.length - 1)]);
  let n = search(order, selected);
  if (order[n] !== selected && by > 0) n--;
  select(order[Math.min(Math.max(n + by, 0), order.length - 1)]);
}

function trouble(by) {
  if (!troubles.length) return;
  const here = selected === NONE ? (by > 0 ? NONE : N) : selected;
  const n = search(troubles, here);
  const next = by > 0 ? (troubles[n] === here ? n + 1 : n) : n - 1;
  select(troubles[(next + troubles.length) % troubles.length]);
}

// ---- Details --------------------------------------------------------------------------------------------------------

const element = (tag, text, kind) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; if (kind) e.className = kind; return e; };

function fill(table, rows) {
  table.replaceChildren(...rows.map((cells) => { const row = element("tr"); row.append(...cells.map((cell) => element("td", cell))); return row; }));
  return table;
}

function tone(i) {
  switch (CLASS[K[i]]) {
    case "dropped": case "refused": case "cut": case "crash": case "down": return "bad";
    case "damaged": case "pause": return "warn";
    case "duplicated": return "twice";
    case "boot": case "up": case "resume": return "good";
  }
  return "";
}

function bytesOf(i) {
  const at = BYTES.get(i), len = Math.min(L[i], data.each);
  if (at === undefined || !len) return null;
  const start_ = Math.floor(at / 3) * 4, text = atob(data.bytes.slice(start_, Math.ceil((at + len) / 3) * 4));
  return Array.from({ length: len }, (_, n) => text.charCodeAt(at % 3 + n));
}

function dump(bytes, marked) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 8) {
    const part = bytes.slice(at, at + 8);
    const hex = part.map((byte, n) => (marked && marked.has(at + n) ? "*" : " ") + byte.toString(16).padStart(2, "0")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}${hex.padEnd(25)} ${part.map((byte) => byte > 32 && byte < 127 ? String.fromCharCode(byte) : ".").join("")}`);
  }
  return lines.join("\n");
}

function describe() {
  if (selected === NONE) {
    const hint = element("p", "Choose an event: click it, or press an arrow key. Drag in the throughput above to choose a time range; click in a host's lane below it to see that turn.", "hint");
    return details.replaceChildren(element("h2", "What happened"), hint, fill(element("table"), summary()));
  }
  const i = selected, f = FIRST[i], s = SEG[f], parts = [];
  const head = element("h2", undefined, tone(i));
  head.append(KIND[K[i]] + (is(i, "boot") ? ` ${L[i]} ` : " "), element("span", `#${number(i)}`, "n"));
  parts.push(head);
  const steps = element("div", undefined, "steps");
  for (const [text, by, title] of [["◀ Before", -1, "Previous event"], ["Next ▶", 1, "Next event"]]) {
    const button = element("button", text); button.type = "button"; button.title = title; button.onclick = () => step(by); steps.append(button);
  }
  parts.push(steps);
  const rows = [["time", `${seconds(T[i])} s`]];
  if (P[i] >= 0) rows.push(["from", name(from(i))], ["to", name(to(i))]); else rows.push(["host", name(H[i])]);
  if (BY[i]) rows.push(["because", WHY[BY[i]]], ["its timer", L[i] ? `in ${span(L[i])}` : "none: only a frame can wake it"]);
  if (L[i] && !is(i, "boot") && !is(i, "turn")) rows.push(["length", `${L[i]} B`]);
  parts.push(fill(element("table"), rows));
  if (s !== NONE) {
    parts.push(element("h3", AGAIN[f] ? "TCP, sent again" : "TCP"));
    const ends = data.flows[tcp.w[s]], way = tcp.d[s] ? ends : [ends[1], ends[0]];
    parts.push(fill(element("table"), [
      ["connection", `${tcp.w[s]}`], ["ports", `${way[0]} > ${way[1]}`], ["flags", FLAGS[tcp.g[s]]],
      ["seq", `${tcp.s[s]}${tcp.c[s] ? ` to ${tcp.s[s] + tcp.c[s]}` : ""}`], ["ack", tcp.g[s] & 16 ? `${tcp.a[s]}` : "none"],
      ["window", `${tcp.n[s]}`], ["data", `${tcp.c[s]} B`], ...(OPTIONS.has(f) ? [["options", OPTIONS.get(f)]] : []),
    ]));
    const only = element("button", filter.flow === tcp.w[s] ? "All connections" : "Only this connection");
    only.type = "button";
    only.onclick = () => { filter.flow = filter.flow === tcp.w[s] ? NONE : tcp.w[s]; $("flow").value = filter.flow; refilter(); describe(); };
    parts.push(only);
  } else if (WORDS.has(f)) parts.push(element("p", data.words[WORDS.get(f)]));
  if (THEN[f] !== NONE || f !== i) {
    parts.push(element("h3", "What became of this frame"));
    const chain = element("div", undefined, "chain");
    for (let j = f; j !== NONE; j = THEN[j]) {
      const late = T[j] - T[f], more = DAMAGE.has(j) ? `: ${DAMAGE.get(j)}` : "";
      const button = element("button", `#${number(j)}  ${KIND[K[j]]}${late ? ` after ${span(late)}` : ""}${more}`, tone(j));
      button.type = "button"; if (j === i) button.setAttribute("aria-current", "true");
      button.onclick = () => select(j);
      chain.append(button);
    }
    parts.push(chain);
  } else if (is(i, "sent")) parts.push(element("p", "Still under way when the record ends.", "warn"));
  let damaged = NONE;
  for (let j = THEN[f]; j !== NONE && j <= i; j = THEN[j]) if (is(j, "damaged")) damaged = j;
  const bytes = bytesOf(damaged === NONE ? f : damaged);
  if (bytes) {
    const before = damaged === NONE ? null : bytesOf(f);
    const marked = before && new Set(bytes.flatMap((byte, n) => byte === before[n] ? [] : [n]));
    const dumped = element("pre", dump(bytes, marked));
    // Nobody wants to have this read out at each step.
    dumped.setAttribute("aria-hidden", "true");
    const all = L[damaged === NONE ? f : damaged];
    parts.push(element("h3", `${damaged === NONE ? "Bytes" : "Bytes as they arrived, * changed"}${bytes.length < all ? `, the first ${bytes.length} of ${all}` : ""}`), dumped);
  }
  details.replaceChildren(...parts);
}

const summary = () => data.kinds.map(([, kind, , times]) => [kind, count(times)]);

// ---- Controls -------------------------------------------------------------------------------------------------------

function press() {
  for (const button of $("classes").children) button.setAttribute("aria-pressed", String((filter.fates & +button.value) !== 0));
  $("steps").setAttribute("aria-pressed", String(scale === "steps"));
  $("time").setAttribute("aria-pressed", String(scale === "time"));
}

/** Shows what the filter lets through, near where one was. */
function refilter() {
  const time = timeAt(view.start);
  const far = scale === "time" ? [view.start, view.end] : null;
  choose();
  binned = null;
  press();
  if (far) show(...far);
  else if (selected !== NONE && SHOWN[selected]) { const rows = view.end - view.start; show(X[selected] - rows / 2, X[selected] + rows / 2); }
  else { const at = placeOf(time), rows = view.end - view.start; show(at, at + rows); }
}

function pick(x, y) {
  let best = 7, found = NONE;
  for (const [i, x1, y1, x2, y2, , , j] of drawn) {
    if (y < Math.min(y1, y2) - 7 || y > Math.max(y1, y2) + 7) continue;
    const dx = x2 - x1, dy = y2 - y1, part = Math.min(Math.max(((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1), 0), 1);
    const distance = Math.hypot(x - x1 - part * dx, y - y1 - part * dy);
    if (distance < best) { best = distance; found = i === NONE || (part > .6 && j !== NONE) ? j : i; }
  }
  if (found !== NONE) return found;
  // The words stand on the line of their event.
  const at = view.start + (y - HEAD - 4) / pixels(), near = search(X, at - 9 / pixels()), to_ = search(X, at + 9 / pixels());
  let closest = Infinity;
  for (let i = near; i < Math.min(to_, near + 4000); i++) {
    if (!SHOWN[i] && FATE[i] !== FAULT) continue;
    const distance = Math.abs(X[i] - at);
    if (distance < closest) { closest = distance; found = i; }
  }
  return found;
}

let selecting = null;
function controls() {
  $("why").textContent = data.why || "no reason was given";
  $("why").classList.toggle("good", data.why === "nothing failed");
  document.title = `seed ${data.seed}: ${data.why.split("\n")[0].slice(0, 80)}`;
  for (const [term, value] of [["seed", data.seed], ["events", count(data.events)], ["virtual time", `${seconds(data.now)} s`], ["hash", data.hash]]) {
    const item = element("div"); item.append(element("dt", term), element("dd", value)); $("facts").append(item);
  }
  $("replay").textContent = data.replay;
  $("copy").onclick = async () => { try { await navigator.clipboard.writeText($("replay").textContent); $("copy").textContent = "Copied"; } catch { getSelection().selectAllChildren($("replay")); } };
  $("plan").textContent = `${data.plan.trim()}\n\n# hosts: ${hosts.slice(0, 50).map((host, index) => `${index} ${host.name}`).join(", ")}${hosts.length > 50 ? ", ..." : ""}`;
  fill($("keys"), [["↑ ↓", "event before, event after"], ["d D", "next and previous trouble"], ["j k, wheel, drag", "move"], ["+ −, Ctrl+wheel, double click", "zoom"], ["0", "all of it"],
    ["Home End", "first and last"], ["← →", "columns, when they do not fit"], ["t", "steps or time"], ["/", "filter"], ["Shift+drag", "choose a range"], ["wheel in the throughput", "zoom it; double click: all of it"], ["Esc", "choose nothing"]]);
  $("left").textContent = data.first > 0 || data.events > data.first + N
    ? `${count(N)} of ${count(data.events)} events are shown${data.alone ? "." : "; trace.txt has the others that were recorded."}` : "";
  const everyone = element("button", "All or none"); everyone.type = "button";
  everyone.onclick = () => { const on = !hosts.every((host) => host.shown); hosts.forEach((host) => { host.shown = on; host.box.checked = on; }); refilter(); };
  $("hosts").append(everyone);
  for (const [index, host] of hosts.entries()) {
    const row = element("label"); host.box = element("input"); host.box.type = "checkbox"; host.box.checked = true;
    host.box.onchange = () => { host.shown = host.box.checked; refilter(); };
    row.append(host.box, ` ${index}  ${host.name}  ${host.address}`); $("hosts").append(row);
  }
  const flows = [["-1", `All ${count(data.flows.length)} connections`], ...data.flows.slice(0, 2000).map((ends, n) => [n, `${n}: ${ends[0]} > ${ends[1]}`])];
  $("flow").append(...flows.map(([value, text]) => { const option = element("option", text); option.value = value; return option; }));
  $("flow").onchange = () => { filter.flow = +$("flow").value; refilter(); };
  for (const [bit, text] of CHIPS) {
    const button = element("button", text); button.type = "button"; button.value = bit;
    button.onclick = () => { filter.fates ^= bit; refilter(); };
    $("classes").append(button);
  }
  let waiting = 0;
  $("text").oninput = () => { clearTimeout(waiting); waiting = setTimeout(() => { filter.text = $("text").value.toLowerCase().split(/\s+/).filter(Boolean); refilter(); }, 150); };
  $("steps").onclick = () => rescale("steps");
  $("time").onclick = () => rescale("time");
  $("in").onclick = () => zoom(.5);
  $("out").onclick = () => zoom(2);
  $("all").onclick = () => show(-1e9, 1e18);
  $("next").onclick = () => trouble(1);
  $("back").onclick = () => trouble(-1);
  for (const id of ["from", "to"]) $(id).onchange = () => {
    const values = ["from", "to"].map((each) => Number($(each).value) * 1e6), right = values.every(Number.isFinite) && values[0] < values[1];
    for (const each of ["from", "to"]) $(each).classList.toggle("wrong", !right);
    if (right) show(placeOf(values[0]), placeOf(values[1]));
  };

  ladder.addEventListener("wheel", (event) => {
    event.preventDefault();
    const line = event.deltaMode === 1 ? 20 : 1;
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY * line * .004), view.start + (event.offsetY - HEAD - 4) / pixels());
    else if (event.shiftKey) { view.left += (event.deltaY || event.deltaX) * line; redraw(); }
    else { view.left += event.deltaX * line; pan(event.deltaY * line / pixels()); }
  }, { passive: false });
  let drag = null;
  ladder.addEventListener("pointerdown", (event) => { ladder.setPointerCapture(event.pointerId); drag = { x: event.offsetX, y: event.offsetY, left: view.left, start: view.start, moved: false, range: event.shiftKey }; });
  ladder.addEventListener("pointermove", (event) => {
    if (!drag) {
      const i = event.offsetY > HEAD ? pick(event.offsetX, event.offsetY) : NONE;
      if (i !== hover) { hover = i; redraw(); }
      tip.hidden = i === NONE;
      if (i !== NONE) {
        tip.textContent = `${seconds(T[i])} s  ${words(i)}`;
        tip.style.left = `${Math.min(event.offsetX + 14, Math.max(size.w - 470, 0))}px`;
        tip.style.top = `${event.offsetY > size.h - 80 ? event.offsetY - 60 : event.offsetY + 16}px`;
      }
      return;
    }
    if (Math.hypot(event.offsetX - drag.x, event.offsetY - drag.y) > 4) drag.moved = true;
    if (!drag.moved || drag.range) return;
    ladder.classList.add("drag"); tip.hidden = true;
    view.left = drag.left - (event.offsetX - drag.x);
    const by = drag.start - (event.offsetY - drag.y) / pixels() - view.start;
    pan(by);
  });
  ladder.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) select(pick(drag.x, drag.y), false);
    else if (drag?.range) { const at = (y) => view.start + (y - HEAD - 4) / pixels(), ends = [at(drag.y), at(event.offsetY)].sort((a, b) => a - b); show(...ends); }
    drag = null; ladder.classList.remove("drag");
  });
  ladder.addEventListener("dblclick", (event) => zoom(.25, view.start + (event.offsetY - HEAD - 4) / pixels()));
  ladder.addEventListener("pointerleave", () => { hover = NONE; tip.hidden = true; redraw(); });
  plot.addEventListener("wheel", (event) => {
    event.preventDefault();
    const at = plotTime(event.offsetX, plot.clientWidth), factor = Math.exp((event.deltaMode === 1 ? 20 : 1) * event.deltaY * .002);
    if (event.shiftKey) { const by = (part.end - part.start) * Math.sign(event.deltaY || event.deltaX) * .1; plotPart(part.start + by, part.end + by); }
    else plotPart(at - (at - part.start) * factor, at + (part.end - at) * factor);
  }, { passive: false });
  plot.addEventListener("dblclick", () => plotPart(origin(), origin() + whole()));
  laneCanvas.addEventListener("click", (event) => { const i = turnAt(event.offsetX, event.offsetY); if (i !== NONE) select(i); });
  laneCanvas.addEventListener("pointermove", (event) => {
    const i = turnAt(event.offsetX, event.offsetY);
    laneCanvas.title = i === NONE ? "" : `${seconds(T[i])} s  ${words(i)}`;
  });
  laneCanvas.addEventListener("wheel", (event) => plot.dispatchEvent(new WheelEvent("wheel", event)), { passive: true });
  let brush = null;
  plot.addEventListener("pointerdown", (event) => {
    plot.setPointerCapture(event.pointerId);
    const w = plot.clientWidth, a = plotX(timeAt(view.start), w), b = plotX(timeAt(view.end), w);
    const inside = event.offsetX >= a - 2 && event.offsetX <= b + 2 && b - a < w - PAD.left - PAD.right - 30;
    brush = { x: event.offsetX, moves: inside, time: timeAt((view.start + view.end) / 2) };
  });
  plot.addEventListener("pointermove", (event) => {
    if (!brush) return;
    const w = plot.clientWidth;
    if (brush.moves) {
      const middle = placeOf(brush.time + plotTime(event.offsetX, w) - plotTime(brush.x, w)), half = (view.end - view.start) / 2;
      show(middle - half, middle + half);
    } else { selecting = [brush.x, event.offsetX]; redraw(); }
  });
  plot.addEventListener("pointerup", (event) => {
    const w = plot.clientWidth;
    if (selecting && Math.abs(selecting[1] - selecting[0]) > 3) show(placeOf(plotTime(Math.min(...selecting), w)), placeOf(plotTime(Math.max(...selecting), w)));
    else if (brush && !brush.moves) { const at = placeOf(plotTime(event.offsetX, w)), half = (view.end - view.start) / 2; show(at - half, at + half); }
    brush = selecting = null;
  });
  addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (event.key === "Escape") { event.target.blur?.(); document.querySelectorAll("details[open]").forEach((open) => { open.open = false; }); return select(NONE); }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = view.end - view.start;
    const keys = {
      ArrowDown: () => step(1), ArrowUp: () => step(-1), j: () => pan(page / 10), k: () => pan(-page / 10),
      PageDown: () => pan(page * .9), PageUp: () => pan(-page * .9), Home: () => show(-page, 0), End: () => show(length, length + page),
      ArrowLeft: () => { view.left -= 80; redraw(); }, ArrowRight: () => { view.left += 80; redraw(); },
      "+": () => zoom(.7), "=": () => zoom(.7), "-": () => zoom(1 / .7), 0: () => show(-1e9, 1e18), d: () => trouble(1), D: () => trouble(-1),
      t: () => rescale(scale === "steps" ? "time" : "steps"), "/": () => $("text").focus(),
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  document.addEventListener("click", (event) => document.querySelectorAll("details[open]").forEach((open) => { if (!open.contains(event.target)) open.open = false; }));
  new ResizeObserver(redraw).observe(ladder);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { colors(); binned = null; redraw(); });
}

// ---- Beginning ------------------------------------------------------------------------------------------------------

controls();
colors();
const asks = new URLSearchParams(location.search);
if (asks.get("scale") === "time") scale = "time";
// Of the time after the last event, little: a run may have waited for an hour in which nothing happened.
[part.start, part.end] = [origin(), Math.min(origin() + whole(), Math.max((T[N - 1] || 0) + ((T[N - 1] || 0) - origin()) * .03, origin() + 100))];
choose();
press();
start();
describe();
draw();
range();
const wanted = Number(location.hash.slice(1)) - data.first;
if (location.hash && wanted >= 0 && wanted < N) select(wanted);
Object.assign(document.body.dataset, { drawn: "yes", events: N, arrows: ARROWS, troubles: troubles.length, ms: (performance.now() - started).toFixed(0) });
})();
