// What the view says of a frame at an instant: pure, so that every state is tested without a browser.

import type { Frame, Money, TaskStrip } from "./frame.js";
import type { Link } from "./host.js";
import { budgetOf, grown, keptWords, spentAt } from "./money.js";
import { about, age, count, dollars, duration, percent, plural } from "./words.js";

export interface Segment {
  readonly state: "done" | "running" | "pending" | "failed";
  readonly count: number;
}

/** The mix of tasks `start` … `stop` − 1. */
export interface Cell {
  readonly start: number;
  readonly stop: number;
  readonly done: number;
  readonly running: number;
  readonly pending: number;
  readonly failed: number;
}

export interface FailureLine {
  readonly id: string;
  /** Whether its tasks can be asked for. */
  readonly opens: boolean;
  readonly count: number;
  readonly number: string;
  readonly message: string;
  readonly where: string;
}

export interface OutputLine {
  readonly task: number;
  readonly text: string;
}

export interface Detail {
  readonly label: string;
  readonly text: string;
  readonly copies: boolean;
}

export interface Shown {
  /** Seconds since the epoch by the store's clock. */
  readonly at: number;
  readonly phase: string;
  readonly link: string;
  readonly state: string;
  readonly title: string;
  readonly percent: string;
  readonly time: string;
  readonly money: string;
  /** After the end: workers that are kept for the next cell, what they cost, and until when; "" for none. */
  readonly kept: string;
  readonly over: boolean;
  /** Nothing is left to say but one line. */
  readonly plain: boolean;
  readonly segments: readonly Segment[];
  readonly done: number;
  readonly total: number;
  readonly failed: number;
  readonly counts: string;
  readonly idle: string;
  readonly spoken: string;
  readonly note: string;
  readonly noteKind: string;
  readonly failures: readonly FailureLine[];
  /** The kinds of failure that are not listed, in words. */
  readonly moreFailures: string;
  readonly cells: readonly Cell[];
  readonly workersTitle: string;
  readonly workers: readonly (readonly [string, string])[];
  readonly output: readonly OutputLine[];
  readonly details: readonly Detail[];
}

const SILENT = 15; // seconds without an answer after which that is worth a word; a server is asked each second
const SLOW = 60; // seconds that a task may run before it is named

/**
 * What is shown of `frame`, which came over `link`, at `now` (seconds since the epoch by this page's clock). Nobody knows
 * what became of a job of which only the file is left: it is shown as it was, and neither time nor money goes on.
 */
export function shown(frame: Frame, link: Link, now: number): Shown {
  return inStoreTime(frame, link, link.from === "saved" && frame.ended === null ? frame.at : now + link.ahead);
}

function inStoreTime(frame: Frame, link: Link, now: number): Shown {
  const { counts } = frame;
  const over = frame.ended !== null;
  const done = counts.completed + counts.failed;
  const idle = over ? "not run" : "pending";
  const note = noteOf(frame, link, now);
  const progress = counts.total ? percent(done, counts.total) : "";
  return {
    at: now,
    phase: frame.phase,
    link: link.from,
    state: sentence(frame.state),
    title: frame.title,
    percent: progress,
    time: timeOf(frame, now),
    money: moneyOf(frame, now),
    kept: keptOf(frame.money, now),
    over,
    plain: frame.phase === "finished" && counts.failed === 0 && counts.total > 0,
    segments: [
      { state: "done", count: counts.completed },
      { state: "running", count: counts.running },
      { state: "pending", count: counts.pending + counts.not_run },
      { state: "failed", count: counts.failed },
    ],
    done,
    total: counts.total,
    failed: counts.failed,
    counts: countsOf(frame, idle),
    idle,
    spoken: counts.total ? `${sentence(frame.state)}: ${countsOf(frame, idle)}` : `${sentence(frame.state)}: no tasks`,
    note: note.text,
    noteKind: note.kind,
    failures: failureLines(frame),
    moreFailures: moreOf(frame),
    cells: cellsOf(frame.tasks, counts.total),
    workersTitle: over ? "Workers" : `Workers ${count(frame.workers.alive)} of ${count(frame.workers.wanted)}`,
    workers: workerRows(frame, now),
    output: frame.output?.lines ?? [],
    details: detailsOf(frame, now),
  };
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function timeOf(frame: Frame, now: number): string {
  if (frame.ended !== null) return `in ${duration(frame.ended - frame.created)}`;
  if (frame.forecast === null) return duration(now - frame.created);
  // A forecast that has passed is wrong by an unknown amount: no number is better than a wrong one.
  return frame.forecast <= now ? "longer than expected" : `${about(frame.forecast - now)} left`;
}

function moneyOf(frame: Frame, now: number): string {
  const { money } = frame;
  if (!money.priced) return "cost unknown";
  if (money.free) return `no charge${budgetOf(money)}`;
  // The budget is the session's: where it has ended the job, it is what a reader must see.
  if (frame.ended !== null && frame.end !== "budget" && money.job !== null) return dollars(money.job);
  return sessionCost(frame, now);
}

function sessionCost(frame: Frame, now: number): string {
  return `${dollars(spentAt(frame.money, growsUntil(frame, now)))}${budgetOf(frame.money)}`;
}

/** When its costs stop growing, or now. */
function growsUntil({ ended, deadline, money, at }: Frame, now: number): number {
  return Math.min(now, ended === null ? deadline || now : (money.kept?.until ?? at));
}

function keptOf(money: Money, now: number): string {
  const { kept } = money;
  return !kept || kept.until <= now ? "" : `${keptWords(kept.count, money)}, at most until ${timeOfDay(kept.until, now)}`;
}

function countsOf(frame: Frame, idle: string): string {
  const { counts } = frame;
  if (!counts.total) return "no tasks";
  const parts = [`${count(counts.completed)} done`];
  if (!frame.ended || counts.running) parts.push(`${count(counts.running)} running`);
  const rest = counts.pending + counts.not_run;
  if (!frame.ended || rest) parts.push(`${count(rest)} ${idle}`);
  parts.push(`${count(counts.failed)} failed`);
  if (counts.reused) parts.push(`${count(counts.reused)} reused`);
  return parts.join(" · ");
}

/** The one line below the counts: the most important of what is wrong, or what happens now. */
function noteOf(frame: Frame, link: Link, now: number): { text: string; kind: string } {
  const over = frame.ended !== null;
  if (link.problem) return { text: sinceSeen(link, now, link.problem), kind: "stale" };
  if (!over && link.from === "saved") {
    return { text: `As of ${clock(frame.at)}. To follow it, run ${frame.attach}`, kind: "stale" };
  }
  if (!over && link.from === "server" && link.seen !== null && sinceAnswer(link, now) > SILENT) {
    return { text: sinceSeen(link, now, "the Jupyter server does not answer"), kind: "stale" };
  }
  if (frame.stale) return { text: `As seen ${age(now - frame.stale.since)} ago: ${frame.stale.why}`, kind: "stale" };
  if (over) return { text: afterwards(frame, link), kind: "" };
  if (frame.waiting) {
    const since = frame.waiting.since === null ? "" : ` for ${duration(now - frame.waiting.since)}`;
    const wayOut = frame.waiting.way_out ? `; ${frame.waiting.way_out}` : "";
    return { text: `${sentence(frame.waiting.words)}${since}${coming(frame, now)}${wayOut}`, kind: "waiting" };
  }
  const { lost, refused } = frame.workers;
  if (lost || refused) return { text: [lost, refused].filter(Boolean).map(sentence).join("; "), kind: "waiting" };
  return { text: doing(frame, now), kind: "" };
}

function sinceSeen(link: Link, now: number, why: string): string {
  return link.seen === null ? sentence(why) : `As seen ${age(sinceAnswer(link, now))} ago: ${why}`;
}

function sinceAnswer(link: Link, now: number): number {
  return link.seen === null ? Infinity : now - link.ahead - link.seen / 1000;
}

function coming(frame: Frame, now: number): string {
  const parts = frame.workers.coming.map((each) => `${count(each.count)} ${each.phase} for ${age(now - each.since)}`);
  return parts.length ? ` (${parts.join(", ")})` : "";
}

function doing(frame: Frame, now: number): string {
  const alive = plural(frame.workers.alive, "worker");
  const slow = frame.longest && now - frame.longest.since >= SLOW ? frame.longest : null;
  return slow ? `${alive}; task ${count(slow.task)} has been running for ${duration(now - slow.since)}` : alive;
}

/** Where the results of a job that is over are. Only a kernel that answers is known to have them. */
function afterwards(frame: Frame, link: Link): string {
  if (!frame.counts.total) return "There was nothing to do: --map gave no items";
  if (!frame.out) return "";
  if (link.from === "kernel") return `Results are in ${frame.out}`;
  return `Results are in ${frame.out} in the kernel that ran this cell; in another one, ${frame.attach} brings them back`;
}

function failureLines(frame: Frame): FailureLine[] {
  const groups = frame.failures?.groups ?? [];
  const lines = groups.map((group) => {
    const said = [group.type, group.message].filter(Boolean).join(": ") || group.kind;
    const places = [
      group.line === null ? "" : `line ${group.line}`,
      group.messages > 1 ? `${count(group.messages)} different messages` : "",
      `first: task ${count(group.first)}`,
    ];
    const word = group.kind === "not run" ? "not run" : group.kind === "raised" ? "failed" : `failed (${group.kind})`;
    return {
      id: group.id,
      opens: group.kind !== "not run",
      count: group.count,
      number: `${count(group.count)} ${word}`,
      message: said,
      where: places.filter(Boolean).join(" · "),
    };
  });
  const unread = frame.failures?.unread;
  return unread ? [...lines, { id: "unread", opens: false, count: 0, number: "Unread", message: unread, where: "" }] : lines;
}

const LETTERS: Readonly<Record<string, "pending" | "running" | "done" | "failed">> = {
  p: "pending",
  r: "running",
  c: "done",
  f: "failed",
};
const MOST = 10_000; // cells of a canvas; more tasks share them

/** The cells of a strip such as `c40f2r8p50`: one for each of its own, or for several if they are more than `MOST`. */
export function cellsOf(strip: TaskStrip, total: number): Cell[] {
  const step = Math.max(1, Math.ceil(total / strip.size / MOST)) * strip.size;
  const mixes: Mix[] = Array.from({ length: Math.ceil(total / step) }, () => ({ done: 0, running: 0, pending: 0, failed: 0 }));
  let start = 0;
  for (const [, letter = "p", number] of strip.cells.matchAll(/([a-z])(\d*)/g)) {
    const stop = Math.min(total, start + (number ? Number(number) : 1) * strip.size);
    while (start < stop) {
      const upto = Math.min(stop, (Math.floor(start / step) + 1) * step);
      tally(mixes[Math.floor(start / step)], letter, upto - start);
      start = upto;
    }
  }
  return mixes.map((mix, at) => ({ start: at * step, stop: Math.min(total, (at + 1) * step), ...mix }));
}

function moreOf(frame: Frame): string {
  const part = frame.failures;
  return part?.more ? `and ${plural(part.more, "more kind")} of failure (${plural(part.more_tasks, "task")})` : "";
}

type Mix = Record<"done" | "running" | "pending" | "failed", number>;

/** `h`: some done, the others pending; how many is not known. */
function tally(mix: Mix | undefined, letter: string, tasks: number): void {
  if (!mix) return;
  if (letter === "h") {
    mix.done += Math.ceil(tasks / 2);
    mix.pending += Math.floor(tasks / 2);
  } else mix[LETTERS[letter] ?? "pending"] += tasks;
}

function workerRows(frame: Frame, now: number): [string, string][] {
  const { workers } = frame;
  const rows: [string, string][] = [
    ...(frame.ended === null ? ([["Alive", count(workers.alive)]] as [string, string][]) : []), // later, the frame counts none
    ["Wanted", count(workers.wanted)],
    ["Started so far", count(workers.started)],
  ];
  for (const each of workers.coming) rows.push([sentence(each.phase), `${count(each.count)} for ${age(now - each.since)}`]);
  if (workers.lost) rows.push(["Lost", workers.lost]);
  if (workers.refused) rows.push(["Refused", workers.refused]);
  if (frame.longest) {
    rows.push(["Longest task", `task ${count(frame.longest.task)} for ${duration(now - frame.longest.since)} on ${frame.longest.worker}`]);
  }
  return rows;
}

function detailsOf(frame: Frame, now: number): Detail[] {
  const { money } = frame;
  const until = growsUntil(frame, now);
  const details: Detail[] = [
    { label: "Session", text: `${frame.session}/${frame.job}`, copies: true },
    { label: "In another kernel", text: frame.attach, copies: true },
    { label: "Started", text: clock(frame.created), copies: false },
  ];
  if (frame.ended !== null) details.push({ label: "Ended", text: clock(frame.ended), copies: false });
  else if (frame.deadline) details.push({ label: "Deadline", text: clock(frame.deadline), copies: false });
  if (money.estimate !== null) details.push({ label: "Estimate", text: dollars(money.estimate), copies: false });
  if (money.job !== null) {
    const job = frame.ended === null ? grown(money.job, money.hourly, money.at, until) : money.job;
    details.push({ label: "While this cell ran", text: dollars(job), copies: false });
    const goesOn = money.hourly && !money.kept ? " so far" : ""; // workers live that are not idle, and nobody counts here
    if (frame.ended !== null) details.push({ label: "Whole session", text: `${sessionCost(frame, now)}${goesOn}`, copies: false });
  }
  const fargate = grown(money.fargate, money.fargate_hourly, money.at, until);
  if (money.priced && fargate) details.push({ label: "On Fargate", text: `would be ${dollars(fargate)}`, copies: false });
  details.push({ label: "Launcher", text: frame.launcher, copies: false });
  return details.filter(({ text }) => text);
}

function timeOfDay(at: number, now: number): string {
  const sameDay = new Date(at * 1000).toDateString() === new Date(now * 1000).toDateString();
  return sameDay ? new Date(at * 1000).toLocaleTimeString([], { timeStyle: "short" }) : clock(at);
}

function clock(at: number): string {
  return new Date(at * 1000).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
}
