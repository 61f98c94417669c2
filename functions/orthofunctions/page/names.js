// Names of products, as short as they can be told apart.

/** "S1B IW 2026-05-01 17:06" for a Sentinel product's name, any other as it is. */
export function shortName(name) {
  const plain = name.replace(/^products\//, "").replace(/\.(SAFE|SEN3|zip|tiff?)$/i, "");
  const parts = /^(S[123][A-D])_(.*?)_(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})\d{2}/.exec(plain);
  if (!parts) return plain;
  const [, platform, kind, year, month, day, hour, minute] = parts;
  return `${platform} ${kind.split("_").filter(Boolean).slice(0, platform[1] === "1" ? 2 : 3).join(" ")} ${year}-${month}-${day} ${hour}:${minute}`;
}

/** "PRODUCT 33TUG, 33TUH" with the product's name short. */
export function shortTitle(title) {
  const [product, ...rest] = title.split(" ");
  return [shortName(product), ...rest].join(" ");
}
