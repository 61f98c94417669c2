// The map itself: land, a graticule, layers for what others put on it. No tiles: nothing comes from outside.

import { polygons } from "./land.js";
import { warp } from "./warp.js";

const L = window.L;

/** A canvas that is placed like an image. */
const CanvasOverlay = L.ImageOverlay.extend({
  _initImage() {
    this._image = this._url;
    this._image.classList.add("leaflet-image-layer", "leaflet-zoom-animated", "browse");
  },
});

export function makeMap(node) {
  const map = L.map(node, {
    attributionControl: false,
    zoomControl: false,
    zoomSnap: 0.25,
    zoomDelta: 0.75,
    minZoom: 1,
    maxZoom: 16,
    maxBounds: [[-86, -200], [86, 200]],
    maxBoundsViscosity: 0.8,
    fadeAnimation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    zoomAnimation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  });
  map.setView([45, 12], 4);
  L.control.zoom({ position: "topleft" }).addTo(map);
  L.control.scale({ imperial: false, position: "bottomleft" }).addTo(map);
  for (const [name, order] of [["land", 210], ["lines", 220], ["pictures", 300], ["shapes", 410], ["area", 420]]) {
    map.createPane(name).style.zIndex = order;
  }
  const ground = groundOf(map);

  return {
    map,
    recolour: ground.recolour,
    /** A layer of GeoJSON whose look is a class of map.css. */
    shapes: (className, pane = "shapes") =>
      L.geoJSON([], { pane, interactive: pane !== "area", style: { className } }).addTo(map),
    fit: (bounds) => {
      if (bounds.isValid()) map.fitBounds(bounds, { padding: [30, 30], maxZoom: 12 });
    },
    /** Put an image on the map by its projection's corners. Resolves to its layer; raises with a sentence. */
    place: (href, epsg, bbox, opacity) => place(map, href, epsg, bbox, opacity),
  };
}

async function place(map, href, epsg, bbox, opacity) {
  const image = new Image();
  image.src = href;
  try {
    await image.decode();
  } catch {
    throw new Error("the browse image could not be read: its link may have run out, search again");
  }
  const placed = warp(image, epsg, bbox);
  if (!placed) throw new Error(`EPSG:${epsg} is a projection that this map cannot place`);
  return new CanvasOverlay(placed.canvas, placed.bounds, { pane: "pictures", opacity }).addTo(map);
}

function groundOf(map) {
  const renderer = L.canvas({ pane: "land", padding: 0.3 });
  const lines = L.canvas({ pane: "lines", padding: 0.3 });
  const land = L.geoJSON([], { renderer, interactive: false, smoothFactor: 1.2 }).addTo(map);
  const graticule = L.layerGroup(graticuleLines(lines)).addTo(map);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function recolour() {
    land.setStyle({ fillColor: colour("--land"), fillOpacity: 1, color: colour("--border"), weight: 0.75 });
    graticule.eachLayer((line) => line.setStyle({ color: colour("--border"), opacity: 0.45, weight: 0.75 }));
  }
  recolour();
  fetch(new URL("../vendor/world-atlas/countries-50m.json", import.meta.url), { credentials: "omit" })
    .then((answer) => answer.json())
    .then((topology) => {
      for (const geometry of polygons(topology, "countries")) land.addData(geometry);
      recolour();
    })
    .catch(() => {}); // a map without coasts still shows where results lie
  return { recolour };
}

function graticuleLines(renderer) {
  const options = { renderer, interactive: false, className: "graticule" };
  const found = [];
  for (let lon = -180; lon <= 180; lon += 10) found.push(L.polyline([[-85, lon], [85, lon]], options));
  for (let lat = -80; lat <= 80; lat += 10) found.push(L.polyline([[lat, -180], [lat, 180]], options));
  return found;
}
