// The area in numbers: what mouse and finger draw, typed.

import { el, note, setText } from "../dom.js";

const SIDES = [["west", 180], ["south", 90], ["east", 180], ["north", 90]];
const EARTH_KM = 6371;

/** `onArea` is given a GeoJSON Polygon that was typed. */
export function areaFields(onArea) {
  const problem = el("p", { class: "notice", hidden: true });
  const size = el("p", { class: "fine", role: "status" }, "None yet: draw it on the map, or type it here.");
  const sides = SIDES.map(([name, most]) =>
    el("input", { type: "number", name, step: "any", min: -most, max: most, inputmode: "decimal" }));
  const corners = el("textarea", { rows: 4, spellcheck: "false", placeholder: "12.4 41.8\n12.7 41.8\n12.6 42.0" });

  function useSides() {
    const [west, south, east, north] = sides.map((side) => (side.value === "" || !side.validity.valid ? NaN : Number(side.value)));
    if ([west, south, east, north].some(Number.isNaN)) return refuse("Give four numbers in degrees: west, south, east, north.");
    if (west === east || south >= north) return refuse("South must be below north, and west and east must differ.");
    // an edge goes the shorter way around: a box over the date line has its east beyond 180
    const right = east < west ? east + 360 : east;
    return take([[west, south], [right, south], [right, north], [west, north]]);
  }

  function useCorners() {
    const lines = corners.value.split(/\n|;/).map((line) => line.trim()).filter(Boolean);
    const points = lines.map((line) => line.split(/[\s,]+/).map(Number));
    const wrong = points.findIndex((point) => point.length !== 2 || point.some(Number.isNaN) || Math.abs(point[1]) > 90);
    if (wrong >= 0) return refuse(`Line ${wrong + 1} is not a longitude and a latitude: ${lines[wrong].slice(0, 40)}`);
    if (points.length < 3) return refuse("A polygon has at least three corners, one to a line.");
    return take(points);
  }

  const refuse = (text) => note(problem, text);

  function take(ring) {
    note(problem, null);
    onArea({ type: "Polygon", coordinates: [[...ring, ring[0]]] });
  }

  const node = el("fieldset", {},
    el("legend", {}, "1. Area"),
    size,
    el("details", {},
      el("summary", {}, "Type it: a box, or the corners of a polygon"),
      el("div", { class: "form" },
        el("div", { class: "fields" },
          SIDES.map(([name], n) => el("label", {}, `${name[0].toUpperCase()}${name.slice(1)} (°)`, sides[n]))),
        el("div", { class: "actions" }, el("button", { type: "button", on: { click: useSides } }, "Use this box")),
        el("label", {}, "Corners, longitude and latitude, one to a line", corners),
        el("div", { class: "actions" }, el("button", { type: "button", on: { click: useCorners } }, "Use this polygon")),
        problem)));

  return {
    node,
    /** Show what was drawn or typed. */
    show(area) {
      note(problem, null);
      if (!area) {
        setText(size, "None: draw it on the map, or type it here.");
        return;
      }
      const ring = area.coordinates[0];
      const box = boxOf(area);
      sides.forEach((side, n) => { side.value = box[n]; });
      corners.value = ring.slice(0, -1).map((point) => point.join(" ")).join("\n");
      setText(size, `${extent(areaKm2(ring))} between ${box[0]}° and ${box[2]}° east, ${box[1]}° and ${box[3]}° north`);
    },
  };
}

export function boxOf(area) {
  const ring = area.coordinates[0];
  const [lons, lats] = [ring.map(([lon]) => lon), ring.map(([, lat]) => lat)];
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}

/** On a sphere, by the trapezoids under its edges: good enough to say how large something is. */
export function areaKm2(ring) {
  const rad = Math.PI / 180;
  let sum = 0;
  for (let n = 1; n < ring.length; n++) {
    const [[lon0, lat0], [lon1, lat1]] = [ring[n - 1], ring[n]];
    sum += (lon1 - lon0) * rad * (2 + Math.sin(lat0 * rad) + Math.sin(lat1 * rad));
  }
  return Math.abs(sum / 2) * EARTH_KM ** 2;
}

function extent(km2) {
  const digits = km2 < 10 ? 2 : 0;
  return `${new Intl.NumberFormat("en", { maximumFractionDigits: digits }).format(km2)} km²`;
}
