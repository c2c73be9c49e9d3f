// A timeline in pieces and in words: pure.

import type { TimelineLane, TimelinePage } from "./frame.js";
import { count, duration, percent, plural } from "./words.js";

/** A piece of a lane: a task, or an interval of which a share was busy. */
export interface Bit {
  /** Seconds since the epoch. */
  readonly from: number;
  readonly to: number;
  /** 0 … 1; the height of the piece. */
  readonly share: number;
  readonly failed: boolean;
  readonly running: boolean;
  readonly task: number | null;
}

const FULL = 10; // levels of busyness above idle

/** The pieces of a lane, in order of time. */
export function bitsOf(lane: TimelineLane, page: TimelinePage): Bit[] {
  const told = lane.bars.map(({ task, began, wall, failed }) => ({ from: Math.max(began, page.start), to: Math.min(began + wall, page.stop), share: 1, failed, running: false, task }));
  const now = lane.since === null ? [] : [{ from: Math.max(lane.since, page.start), to: page.stop, share: 1, failed: false, running: true, task: lane.running }];
  return [...told, ...intervals(lane.cells, page), ...now].filter((bit) => bit.to >= bit.from);
}

function intervals(cells: string, page: TimelinePage): Bit[] {
  const width = (page.stop - page.start) / page.bins;
  const bits: Bit[] = [];
  let at = 0;
  for (const [, letter = "a", number] of cells.matchAll(/([a-k])(\d*)/gi)) {
    const until = Math.min(page.bins, at + (number ? Number(number) : 1));
    const share = (letter.toLowerCase().charCodeAt(0) - "a".charCodeAt(0)) / FULL;
    const failed = letter !== letter.toLowerCase();
    if (share || failed) bits.push({ from: page.start + at * width, to: page.start + until * width, share, failed, running: false, task: null });
    at = until;
  }
  return bits;
}

/** The last piece that begins at a time or before, −1 if there is none. */
export function lastBefore(bits: readonly Bit[], time: number): number {
  return bits.reduce((found, bit, at) => (bit.from <= time ? at : found), -1);
}

/** `worker 3: task 17, 2.4 s from 10:31:05, failed`. */
export function described(lane: TimelineLane, bit: Bit): string {
  const when = new Date(bit.from * 1000).toLocaleTimeString([], { timeStyle: "medium" });
  const long = duration(bit.to - bit.from);
  const how = bit.failed ? ", failed" : bit.running ? ", running" : "";
  if (bit.task !== null) return `${lane.name}: task ${count(bit.task)}, ${long} from ${when}${how}`;
  return `${lane.name}: ${Math.round(bit.share * 100)}\u202f% busy for ${long} from ${when}${bit.failed ? ", with failures" : ""}`;
}

/** What there is in all, and what is left out. */
export function summary(page: TimelinePage): string {
  const parts = [`${plural(page.tasks, "task")} in ${duration(page.stop - page.start)}`];
  if (page.left_out) parts.push(`${count(page.left_out)} more are not shown: reused, or too many to read`);
  if (page.more) parts.push(`and ${plural(page.more, "lane")} more`);
  return parts.join("; ");
}

/** Rows: worker, tasks, failed, busy, share of the time. */
export function tableOf(page: TimelinePage): string[][] {
  const span = page.stop - page.start;
  return page.lanes.map((lane) => {
    const busy = lane.busy + (lane.since === null ? 0 : Math.max(0, page.stop - lane.since));
    return [lane.name, count(lane.tasks), count(lane.failed), duration(busy), percent(Math.min(busy, span), span)];
  });
}
