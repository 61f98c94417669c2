// An area, drawn: a rectangle by dragging, a polygon by its corners, with mouse or finger. Numbers are typed elsewhere.

import { byId, setText } from "../dom.js";

const L = window.L;
const LEAST_PX = 6;
const HINTS = {
  rectangle: "Drag from corner to corner. Esc gives up.",
  polygon: "Click or tap each corner; double-click, Enter or the button again ends it. Esc gives up.",
};

/** `onArea` is given a GeoJSON Polygon, or null when it is cleared. */
export function drawing(view, onArea) {
  const { map } = view;
  const shown = view.shapes("area", "area");
  const node = map.getContainer();
  const buttons = { rectangle: byId("draw-rectangle"), polygon: byId("draw-polygon") };
  let mode = null;
  let corners = []; // [lat, lng] of what is being drawn

  function begin(wanted) {
    stop();
    mode = wanted;
    buttons[mode].setAttribute("aria-pressed", true);
    node.classList.add("drawing");
    map.dragging.disable();
    map.doubleClickZoom.disable();
    setText(byId("draw-hint"), HINTS[mode]);
  }

  function stop() {
    if (mode) buttons[mode].setAttribute("aria-pressed", false);
    mode = null;
    corners = [];
    node.classList.remove("drawing");
    map.dragging.enable();
    map.doubleClickZoom.enable();
    setText(byId("draw-hint"), "");
  }

  function sketch(points) {
    shown.clearLayers();
    const ring = points.map(([lat, lng]) => [lng, lat]);
    if (ring.length > 1) shown.addData({ type: ring.length > 2 ? "Polygon" : "LineString", coordinates: ring.length > 2 ? [[...ring, ring[0]]] : ring });
  }

  function finish(points) {
    stop();
    const ring = points.map(([lat, lng]) => [round(lng), round(lat)]);
    set({ type: "Polygon", coordinates: [[...ring, ring[0]]] });
  }

  function set(area) {
    shown.clearLayers();
    if (area) shown.addData(area);
    byId("draw-clear").disabled = !area;
    onArea(area);
  }

  function giveUp() {
    stop();
    set(null);
  }

  const at = (event) => {
    const place = map.mouseEventToLatLng(event);
    return [place.lat, place.lng];
  };

  node.addEventListener("pointerdown", (event) => {
    if (mode !== "rectangle" || event.button !== 0 || event.target.closest(".leaflet-control")) return;
    event.preventDefault();
    node.setPointerCapture(event.pointerId);
    corners = [at(event)];
    corners.from = [event.clientX, event.clientY];
  });
  node.addEventListener("pointermove", (event) => {
    if (mode === "rectangle" && corners.length) sketch(box(corners[0], at(event)));
    if (mode === "polygon" && corners.length) sketch([...corners, at(event)]);
  });
  node.addEventListener("pointerup", (event) => {
    if (mode !== "rectangle" || !corners.length) return;
    const [x, y] = corners.from;
    if (Math.abs(event.clientX - x) < LEAST_PX || Math.abs(event.clientY - y) < LEAST_PX) {
      corners = []; // a tap is no rectangle
      shown.clearLayers();
    } else finish(box(corners[0], at(event)));
  });
  map.on("click", (event) => {
    if (mode !== "polygon") return;
    const place = [event.latlng.lat, event.latlng.lng];
    const last = corners.at(-1);
    if (last && map.latLngToContainerPoint(last).distanceTo(event.containerPoint) < 3) return; // a double-click's second
    corners.push(place);
    sketch(corners);
  });
  map.on("dblclick", () => endPolygon());

  function endPolygon() {
    if (mode === "polygon" && corners.length > 2) finish(corners);
  }

  document.addEventListener("keydown", (event) => {
    if (!mode) return;
    if (event.key === "Escape") giveUp();
    if (event.key === "Enter" && mode === "polygon" && event.target.tagName !== "BUTTON") endPolygon();
  });
  for (const [name, button] of Object.entries(buttons)) {
    button.addEventListener("click", () => {
      if (mode !== name) begin(name);
      else if (name === "polygon" && corners.length > 2) endPolygon();
      else giveUp();
    });
  }
  byId("draw-clear").addEventListener("click", giveUp);

  return {
    set,
    show: (area) => view.fit(L.geoJSON(area).getBounds()),
  };
}

function box([lat0, lng0], [lat1, lng1]) {
  const [south, north] = [Math.min(lat0, lat1), Math.max(lat0, lat1)];
  const [west, east] = [Math.min(lng0, lng1), Math.max(lng0, lng1)];
  return [[south, west], [south, east], [north, east], [north, west]];
}

/** To a metre or so: more digits than a hand can mean would only change the image's digest. */
const round = (degrees) => Math.round(degrees * 1e5) / 1e5;
