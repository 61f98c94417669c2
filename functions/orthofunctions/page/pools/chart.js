// Load over time: what runs, on top of it what is queued, and the slots that are there as a dashed line.

import { svg } from "../dom.js";
import { atMinute } from "../format.js";

const GAP_MS = 180_000; // nobody noted for so long: not drawn, rather than made up
const LEFT = 26;
const BOTTOM = 18;
const TOP = 6;
const TICKS = [60, 300, 600, 900, 1800, 3600, 7200, 14_400].map((s) => s * 1000);

/** Draw points {at, running, queued?, slots?} between two moments, in milliseconds, up to `most` tasks. */
export function chart(node, points, from, to, most) {
  const { width, height } = node.getBoundingClientRect();
  if (width === 0) return;
  node.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const x = (at) => LEFT + ((Math.max(at, from) - from) / (to - from)) * (width - LEFT);
  const y = (n) => height - BOTTOM - (n / most) * (height - BOTTOM - TOP);
  const runs = pieces(points, from, to);
  node.replaceChildren(
    ...rules(most, width, y),
    ...times(from, to, x, height, width),
    ...runs.flatMap((run) => [
      area(run, x, y, () => 0, (one) => one.running, "running"),
      area(run, x, y, (one) => one.running, (one) => one.running + (one.queued ?? 0), "queued"),
      run[0].slots === undefined ? null : svg("path", { class: "slots", d: steps(run, x, y, (one) => one.slots) }),
    ]).filter(Boolean));
}

/** A scale that all charts beside each other share. */
export function scaleFor(all) {
  const most = Math.max(2, ...all.map((one) => Math.max(one.slots ?? 0, one.running + (one.queued ?? 0))));
  const size = 10 ** Math.floor(Math.log10(most));
  return most <= 4 ? most : [1, 2, 4, 6, 8, 10].map((n) => n * size).find((n) => n >= most); // even: half is marked too
}

function pieces(points, from, to) {
  const found = [];
  let run = [];
  points.forEach((point, n) => {
    if (run.length && point.at - run.at(-1).at > GAP_MS) {
      found.push(run);
      run = [];
    }
    const next = points[n + 1]?.at ?? to;
    if (next >= from) run.push({ ...point, until: Math.min(next, point.at + GAP_MS, to) });
  });
  return run.length ? [...found, run] : found;
}

function steps(run, x, y, value) {
  return run.map((one, n) => `${n ? "L" : "M"}${x(one.at).toFixed(1)} ${y(value(one)).toFixed(1)}H${x(one.until).toFixed(1)}`).join("");
}

function area(run, x, y, low, high, name) {
  if (run.every((one) => low(one) === high(one))) return null;
  const back = run.toReversed().map((one) => `L${x(one.until).toFixed(1)} ${y(low(one)).toFixed(1)}H${x(one.at).toFixed(1)}`).join("");
  return svg("path", { class: name, d: `${steps(run, x, y, high)}${back}Z` });
}

function rules(most, width, y) {
  const marks = most <= 4 ? Array.from({ length: most + 1 }, (_, n) => n) : [0, most / 2, most];
  return marks.flatMap((n) => [
    svg("line", { class: "rule", x1: LEFT, x2: width, y1: y(n), y2: y(n) }),
    svg("text", { x: LEFT - 6, y: y(n) + 4, "text-anchor": "end" }, n),
  ]);
}

function times(from, to, x, height, width) {
  const step = TICKS.find((one) => (to - from) / one <= 4) ?? TICKS.at(-1);
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    if (x(at) < LEFT + 12 || x(at) > width - 16) continue;
    found.push(svg("text", { x: x(at), y: height - 3, "text-anchor": "middle" }, atMinute(new Date(at))));
  }
  return found;
}
