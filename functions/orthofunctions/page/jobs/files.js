// A job's files, in whichever of the shapes of OGC API - Processes it was ordered: by reference, by value, raw.

import { get } from "../api.js";

const OF_ASSETS = { data: "image", thumbnail: "browse" };

/** Entries with title, pool and files by kind; those of a running job as they come. */
export async function filesOf(job) {
  const answer = await get(`/jobs/${job.jobID}/results`, { partial: true });
  const entries = Array.isArray(answer) ? answer : (answer?.outputs ?? []);
  return entries.map((entry) => {
    const item = entry.value ?? (entry.type === "Feature" ? entry : null);
    return item ? { digest: item.id, title: item.properties?.title ?? item.id, files: ofItem(item) } : ofEntry(entry);
  });
}

function ofEntry({ digest, title, pool, ...files }) {
  return { digest, title, pool, files: Object.entries(files).filter(([, file]) => file?.blob).map(([kind, file]) => ({ kind, href: file.href, size: file.size_bytes })) };
}

function ofItem(item) {
  return Object.entries(item.assets ?? {}).map(([name, asset]) => ({ kind: OF_ASSETS[name] ?? name, href: asset.href, size: asset["file:size"] }));
}
