// Natural Earth's countries, as TopoJSON: arcs are shared, and stored as steps on a grid of whole numbers.

/** GeoJSON polygons of a topology's object. Source: TopoJSON format specification, section 2. */
export function polygons(topology, name) {
  const { scale, translate } = topology.transform;
  const arcs = topology.arcs.map((steps) => {
    let [x, y] = [0, 0];
    return steps.map(([dx, dy]) => {
      x += dx;
      y += dy;
      return [x * scale[0] + translate[0], y * scale[1] + translate[1]];
    });
  });
  const ring = (indices) =>
    indices.flatMap((index, n) => {
      const arc = index < 0 ? arcs[~index].toReversed() : arcs[index];
      return n === 0 ? arc : arc.slice(1); // each begins where the one before ended
    });
  return topology.objects[name].geometries
    .filter((one) => one.type === "Polygon" || one.type === "MultiPolygon")
    .map((one) => ({
      type: "MultiPolygon",
      coordinates: (one.type === "Polygon" ? [one.arcs] : one.arcs).map((rings) => rings.map(ring)),
    }));
}
