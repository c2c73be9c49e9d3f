// Sums of money at an instant, in micro-dollars, and the words that the view and the list of sessions share. Pure.

import type { Money } from "./frame.js";
import { dollars, plural } from "./words.js";

/** An amount that grows by so much an hour, at a later instant; all times in seconds since the epoch. */
export function grown(amount: number, hourly: number, at: number, until: number): number {
  return Math.round(amount + (hourly * Math.max(0, until - at)) / 3600);
}

/** What a session has cost at an instant. */
export function spentAt(money: Money, until: number): number {
  return grown(money.spent, money.hourly, money.at, until);
}

/** ` / $5.00`, or "" without a budget. */
export function budgetOf(money: Money): string {
  return money.budget === null ? "" : ` / ${dollars(money.budget)}`;
}

/** `2 workers kept, $0.08 an hour`; without the price where it is not known. */
export function keptWords(workers: number, money: Money | null): string {
  const hourly = money?.priced && money.kept ? `, ${dollars(money.kept.hourly)} an hour` : "";
  return `${plural(workers, "worker")} kept${hourly}`;
}
