// What is asked before something costs or destroys; "" where it does neither. Pure.

import type { Frame } from "./frame.js";
import { count, dollars, duration, plural } from "./words.js";

/** Before a fleet is made larger: what the added workers cost. A smaller one costs less, and loses nothing. */
export function scaling(frame: Frame | null, workers: number): string {
  const more = workers - (frame?.workers.wanted ?? 0);
  if (!frame || more <= 0 || frame.money.free) return "";
  const each = frame.money.worker_hourly;
  const price = frame.money.priced && each !== undefined ? `${dollars(more * each)} more an hour` : "cost unknown";
  return `Start ${count(more)} more, ${price}?`;
}

/** Before a session may run longer or cost more. */
export function extending(frame: Frame | null, seconds: number, budget: number): string {
  if (!frame || frame.money.free) return "";
  const { money, workers } = frame;
  const hourly = money.worker_hourly === undefined ? money.hourly : money.worker_hourly * workers.wanted;
  const price = money.priced ? `at most ${dollars((hourly * seconds) / 3600)} more` : "cost unknown";
  const longer = seconds ? `${duration(seconds)} longer, ${price}` : "";
  const dearer = budget ? `${dollars(budget)} in all` : "";
  return `Allow ${[longer, dearer].filter(Boolean).join("; ")}?`;
}

/** Before workers end: what is left undone. */
export function stopping(frame: Frame | null): string {
  const left = frame?.counts.pending ?? 0;
  return left ? `Leave ${plural(left, "pending task")} undone?` : "Stop all its workers?";
}
