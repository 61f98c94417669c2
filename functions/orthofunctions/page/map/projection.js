// From the map projections that images come in to longitude and latitude, on WGS 84.
// Source: Karney, Transverse Mercator with an accuracy of a few nanometers (2011), eqs. 11, 15, 35 and 36 to third
// order (under a millimetre within a zone); Snyder, Map Projections: A Working Manual (1987), eqs. 21-33 to 21-40.

const A = 6_378_137;
const F = 1 / 298.257_223_563;
const N = F / (2 - F);
const E2 = F * (2 - F);
const E = Math.sqrt(E2);
const RECTIFYING = (A / (1 + N)) * (1 + N ** 2 / 4 + N ** 4 / 64);
const BETA = [
  N / 2 - (2 / 3) * N ** 2 + (37 / 96) * N ** 3,
  N ** 2 / 48 + N ** 3 / 15,
  (17 / 480) * N ** 3,
];
const DEG = 180 / Math.PI;

/** A function from x, y to [lon, lat] in degrees, or null for a system that this page does not know. */
export function inverse(epsg) {
  const zone = epsg % 100;
  const family = Math.floor(epsg / 100);
  if (epsg === 4326) return (x, y) => [x, y];
  if ((family === 326 || family === 327) && zone >= 1 && zone <= 60) {
    return (x, y) => fromUtm(zone * 6 - 183, family === 327, x, y);
  }
  if (epsg === 3413) return (x, y) => fromPolar(-45, 70, 1, x, y);
  if (epsg === 3031) return (x, y) => fromPolar(0, -71, -1, x, y);
  return null;
}

function fromUtm(middle, isSouth, x, y) {
  const xi0 = (y - (isSouth ? 10_000_000 : 0)) / (0.9996 * RECTIFYING);
  const eta0 = (x - 500_000) / (0.9996 * RECTIFYING);
  let xi = xi0;
  let eta = eta0;
  BETA.forEach((beta, k) => {
    const order = 2 * (k + 1);
    xi -= beta * Math.sin(order * xi0) * Math.cosh(order * eta0);
    eta -= beta * Math.cos(order * xi0) * Math.sinh(order * eta0);
  });
  const lon = middle + Math.atan2(Math.sinh(eta), Math.cos(xi)) * DEG;
  return [lon, latitude(Math.asin(Math.sin(xi) / Math.cosh(eta))) * DEG];
}

/** Geodetic from conformal latitude, in radians. */
function latitude(conformal) {
  const psi = Math.atanh(Math.sin(conformal));
  let phi = conformal;
  for (let k = 0; k < 6; k++) phi = Math.asin(Math.tanh(psi + E * Math.atanh(E * Math.sin(phi))));
  return phi;
}

function fromPolar(middle, trueLatitude, sign, x, y) {
  const phi = Math.abs(trueLatitude) / DEG;
  const t = Math.tan(Math.PI / 4 - phi / 2) / ((1 - E * Math.sin(phi)) / (1 + E * Math.sin(phi))) ** (E / 2);
  const m = Math.cos(phi) / Math.sqrt(1 - E2 * Math.sin(phi) ** 2);
  const radius = Math.hypot(x, y);
  const conformal = Math.PI / 2 - 2 * Math.atan((radius * t) / (A * m));
  const turned = radius === 0 ? 0 : sign > 0 ? Math.atan2(x, -y) : Math.atan2(x, y);
  return [((middle + turned * DEG + 540) % 360) - 180, sign * latitude(conformal) * DEG];
}
