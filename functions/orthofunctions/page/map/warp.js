// A browse image lies in its image's projection, the map in Web Mercator. It is redrawn through a mesh of triangles,
// each with its own affine map: between the nodes of MESH by MESH cells a tile of 110 km is off by under 3 m up to 71
// degrees of latitude, a few hundredths of a browse pixel. Pixels are drawn, never read: they are of another origin.

import { inverse } from "./projection.js";

const MESH = 24;
const LARGEST_PX = 4096;
const LATEST = 85.0511;
const GROWN_PX = 0.75; // triangles reach over each other, or the ground would show between them

/** Nodes of the mesh in Mercator radians, row by row from the upper left: null where the projection is not known. */
export function mesh(epsg, [left, bottom, right, top]) {
  const toLonLat = inverse(epsg);
  if (!toLonLat) return null;
  const nodes = [];
  let before = null;
  for (let row = 0; row <= MESH; row++) {
    for (let col = 0; col <= MESH; col++) {
      let [lon, lat] = toLonLat(left + ((right - left) * col) / MESH, top - ((top - bottom) * row) / MESH);
      if (before !== null) lon -= 360 * Math.round((lon - before) / 360); // goes on over the date line
      before = lon;
      lat = Math.max(-LATEST, Math.min(LATEST, lat));
      nodes.push([lon, (Math.asinh(Math.tan((lat * Math.PI) / 180)) * 180) / Math.PI]);
    }
    before = nodes[nodes.length - MESH - 1][0];
  }
  return nodes;
}

/** The image as a canvas that lies square on the map, and its corners as [[south, west], [north, east]]. */
export function warp(image, epsg, bbox) {
  const nodes = mesh(epsg, bbox);
  if (!nodes) return null;
  const xs = nodes.map(([x]) => x);
  const ys = nodes.map(([, y]) => y);
  const [west, east] = [Math.min(...xs), Math.max(...xs)];
  const [south, north] = [Math.min(...ys), Math.max(...ys)];
  const longest = Math.min(LARGEST_PX, 1.2 * Math.max(image.naturalWidth, image.naturalHeight));
  const scale = longest / Math.max(east - west, north - south);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round((east - west) * scale));
  canvas.height = Math.max(1, Math.round((north - south) * scale));
  const context = canvas.getContext("2d");
  const at = (row, col) => {
    const [x, y] = nodes[row * (MESH + 1) + col];
    return {
      x: ((x - west) / (east - west)) * canvas.width,
      y: ((north - y) / (north - south)) * canvas.height,
      u: (col / MESH) * image.naturalWidth,
      v: (row / MESH) * image.naturalHeight,
    };
  };
  for (let row = 0; row < MESH; row++) {
    for (let col = 0; col < MESH; col++) {
      const [a, b, c, d] = [at(row, col), at(row, col + 1), at(row + 1, col), at(row + 1, col + 1)];
      triangle(context, image, a, b, c);
      triangle(context, image, b, c, d);
    }
  }
  return { canvas, bounds: [[toLatitude(south), west], [toLatitude(north), east]] };
}

function triangle(context, image, a, b, c) {
  const det = (b.u - a.u) * (c.v - a.v) - (c.u - a.u) * (b.v - a.v);
  const slope = (name) => {
    const du = ((b[name] - a[name]) * (c.v - a.v) - (c[name] - a[name]) * (b.v - a.v)) / det;
    const dv = ((c[name] - a[name]) * (b.u - a.u) - (b[name] - a[name]) * (c.u - a.u)) / det;
    return [du, dv, a[name] - du * a.u - dv * a.v];
  };
  const [xu, xv, x0] = slope("x");
  const [yu, yv, y0] = slope("y");
  const middle = { x: (a.x + b.x + c.x) / 3, y: (a.y + b.y + c.y) / 3 };
  context.save();
  context.beginPath();
  for (const corner of [a, b, c]) {
    const [dx, dy] = [corner.x - middle.x, corner.y - middle.y];
    const grown = 1 + GROWN_PX / Math.max(1e-9, Math.hypot(dx, dy));
    context.lineTo(middle.x + dx * grown, middle.y + dy * grown);
  }
  context.clip();
  context.setTransform(xu, yu, xv, yv, x0, y0);
  context.drawImage(image, 0, 0);
  context.restore();
}

function toLatitude(mercatorDeg) {
  return (Math.atan(Math.sinh((mercatorDeg * Math.PI) / 180)) * 180) / Math.PI;
}
