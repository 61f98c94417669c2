// Figures as people read them.

const numbers = (digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits, minimumFractionDigits: 0 });
const whole = numbers(0);
const tenths = numbers(1);
const money = new Intl.NumberFormat("en", { style: "currency", currency: "EUR", maximumFractionDigits: 2 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const second = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export const count = (n) => whole.format(n);
export const eur = (n) => (n > 0 && n < 0.005 ? "under €0.01" : money.format(n));
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

export function seconds(s) {
  if (s === null || s === undefined) return "–";
  if (s < 90) return `${whole.format(s)} s`;
  if (s < 5400) return `${whole.format(s / 60)} min`;
  if (s < 172_800) return `${tenths.format(s / 3600)} h`;
  return `${tenths.format(s / 86_400)} days`;
}

/** A length of time that may be short. */
export const took = (s) => (s < 9.95 ? `${tenths.format(s)} s` : seconds(s));

export function bytes(n) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (n >= size) return `${tenths.format(n / size)} ${unit}`;
  }
  return `${n} bytes`;
}

export const moment = (iso) => full.format(new Date(iso));
export const atMinute = (date) => clock.format(date);
export const atSecond = (iso) => second.format(new Date(iso));

/** A time as short as it can be said: of today by the clock. */
export function when(iso) {
  const then = new Date(iso);
  return then.toDateString() === new Date().toDateString() ? clock.format(then) : day.format(then);
}

export function ago(iso, now = Date.now()) {
  const s = Math.max(0, (now - Date.parse(iso)) / 1000);
  return s < 5 ? "now" : `${seconds(s)} ago`;
}
