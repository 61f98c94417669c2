// Looking again: never twice at once, not while nobody sees the page, slower while the service does not answer.

const SLOWEST_MS = 60_000;

/** `look` resolves to the milliseconds until the next look. Returns a function that looks at once. */
export function repeat(look, onError) {
  let timer = null;
  let running = false;
  let again = false;
  let waitMs = 1000;

  async function run() {
    clearTimeout(timer);
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      const next = await look();
      waitMs = 1000;
      timer = setTimeout(run, next);
    } catch (error) {
      waitMs = Math.min(SLOWEST_MS, waitMs * 2);
      timer = setTimeout(run, waitMs);
      onError(error);
    } finally {
      running = false;
      if (again) {
        again = false;
        run();
      }
    }
    if (document.hidden) clearTimeout(timer);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else run();
  });
  run();
  return run;
}
