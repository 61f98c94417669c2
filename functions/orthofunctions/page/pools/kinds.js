// Which pools are the centre's and which the cloud's, as the service last said.

const kinds = new Map();

export function learn(pools) {
  for (const pool of pools) kinds.set(pool.pool, pool.kind);
}

export const kindOf = (pool) => kinds.get(pool) ?? "";
