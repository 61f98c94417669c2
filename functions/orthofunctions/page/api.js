// Calls of the API. Whatever goes wrong comes as one Problem with a sentence for people.

import { askForKey, key } from "./key.js";

/** An answer that is an error, as RFC 9457 has it, or no answer at all (status 0). */
export class Problem extends Error {
  constructor(status, document) {
    super([document.title, document.detail].filter((text, n, all) => text && all.indexOf(text) === n).join(": "));
    this.status = status;
    this.errors = document.errors ?? [];
  }

  /** What is not there on this service, or not yet. */
  get isAbsent() {
    return this.status === 404 || this.status === 405 || this.status === 501;
  }
}

// Who does not want to give a key is not asked again by every timer, only when they do something.
let declined = false;

export function askAgain() {
  declined = false;
}

export const get = (path, query) => call("GET", path, { query });
export const post = (path, body, query) => call("POST", path, { body, query });
export const remove = (path) => call("DELETE", path, {});

async function call(method, path, { query = {}, body }) {
  const url = new URL(path.replace(/^\//, ""), document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  for (;;) {
    const used = key();
    const answer = await answerTo(url, method, used, body);
    if (answer.ok) return answer.status === 204 ? null : answer.json();
    const problem = new Problem(answer.status, await documentOf(answer));
    if (answer.status !== 401 || declined) throw problem;
    if (key() !== used) continue; // somebody gave another one meanwhile
    if (!(await askForKey(used ? "This key was not accepted." : "This service wants to know who asks."))) {
      declined = true;
      throw problem;
    }
  }
}

async function answerTo(url, method, withKey, body) {
  const headers = { Accept: "application/json" };
  if (withKey) headers.Authorization = `Bearer ${withKey}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
    });
  } catch {
    throw new Problem(0, { title: "No answer", detail: "the service cannot be reached; the page goes on trying" });
  }
}

async function documentOf(answer) {
  try {
    return await answer.json();
  } catch {
    return { title: answer.statusText || `Status ${answer.status}` };
  }
}
