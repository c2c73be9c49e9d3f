// What the sidebar, the status bar and notifications say of the list of sessions at an instant: pure.

import type { AccountSessionState, ListedJobState, ListedState, Money, SessionList } from "./frame.js";
import { budgetOf, grown, keptWords, spentAt } from "./money.js";
import type { Segment } from "./shown.js";
import { age, count, dollars, percent, plural } from "./words.js";

export interface Row {
  readonly id: string;
  readonly title: string;
  readonly state: string;
  readonly phase: string;
  readonly running: boolean;
  readonly percent: string;
  readonly segments: readonly Segment[];
  readonly done: number;
  readonly total: number;
  readonly counts: string;
  /** `$0.12 / $5.00`; with a word where that is past the budget. */
  readonly money: string;
  readonly overBudget: boolean;
  /** How long ago it began. */
  readonly began: string;
  /** The path of the notebook that started it, or "". */
  readonly notebook: string;
  readonly launcher: string;
  /** The job that a click opens: the latest; "" if none can be read. */
  readonly job: string;
  readonly jobs: readonly { readonly job: string; readonly words: string }[];
  /** The line that brings its results back in a kernel. */
  readonly attach: string;
  /** Why it cannot be read, or "". */
  readonly problem: string;
  /** Why a control is off, or "". */
  readonly attachOff: string;
  readonly stopOff: string;
  readonly deleteOff: string;
}

const NO_KEY = "this session's key is not on this machine: where it was started, run burst key show ID; then here: %burst_attach ID --key KEY";
const UNREAD = "it cannot be read";

export function rowOf(listed: ListedState, now: number): Row {
  const { session, jobs } = listed;
  const done = session.completed + session.failed;
  const latest = jobs.at(-1);
  const told = jobs.filter((job) => job.ended === null).at(-1) ?? latest;
  const running = session.state === "running";
  const kept = running ? 0 : listed.workers;
  const key = listed.mine ? "" : NO_KEY.replaceAll("ID", session.id);
  return {
    id: session.id,
    title: titleOf(session, jobs),
    state: sentence(session.problem ? "unreadable" : (told?.state ?? session.state)),
    phase: session.problem ? "failed" : (told?.phase ?? "ended"),
    running,
    percent: session.total ? percent(done, session.total) : "",
    segments: [
      { state: "done", count: session.completed },
      { state: "running", count: session.running },
      { state: "pending", count: Math.max(0, session.total - done - session.running) },
      { state: "failed", count: session.failed },
    ],
    done,
    total: session.total,
    counts: countsOf(listed, done),
    money: [moneyOf(listed.money, now), kept ? keptWords(kept, listed.money) : ""].filter(Boolean).join(" · "),
    overBudget: overBudget(listed.money, now),
    began: `${age(now - session.created)} ago`,
    notebook: session.notebook,
    launcher: session.launcher,
    job: latest?.job ?? "",
    jobs: jobs.map((job) => ({ job: job.job, words: `${job.title || job.job}: ${job.state}, ${count(job.done)} of ${count(job.total)}` })),
    attach: latest?.attach ?? `%burst_attach ${session.id}`,
    problem: session.problem,
    attachOff: latest ? "" : UNREAD,
    stopOff: latest ? key || (running || kept ? "" : `nothing to stop: ${latest.state}`) : `${UNREAD}; burst cancel ${session.id} stops it`,
    deleteOff: latest ? key || (running ? "stop it first: what runs is not deleted" : "") : `${UNREAD}; %burst_cleanup ${session.id} --force deletes it`,
  };
}

/** The same of a session that another store has: what AWS says of it. */
export function accountWords(session: AccountSessionState, now: number): string {
  const spent = session.spent === null || session.hourly === null ? "cost unknown" : dollars(grown(session.spent, session.hourly, session.at, now));
  const parts = [plural(session.workers, "worker"), session.launcher, spent, `${age(now - session.since)} old`, session.owner && `started by ${session.owner}`];
  return parts.filter(Boolean).join(" · ");
}

/** What runs in the account and is not in the list. */
export function elsewhere(list: SessionList): AccountSessionState[] {
  const known = new Set(list.sessions.map((each) => each.session.id));
  return list.account?.sessions.filter((each) => !known.has(each.id)) ?? [];
}

export interface Total {
  readonly running: number;
  /** `2 bursts · $0.42`. */
  readonly words: string;
  readonly overBudget: boolean;
  readonly title: string;
}

/** Whether it costs money: it runs, or has kept workers after its jobs that are not free. */
function costs({ session, money, workers }: ListedState): boolean {
  return session.state === "running" || (workers > 0 && money !== null && !money.free);
}

/** Sessions that run or keep workers, and what they have cost together. */
export function totalOf(list: SessionList | null, now: number): Total {
  const running = list?.sessions.filter(costs) ?? [];
  const priced = running.flatMap(({ money }) => (money && money.priced && !money.free ? [money] : []));
  const spent = priced.reduce((sum, money) => sum + spentNow(money, now), 0);
  const over = running.filter(({ money }) => overBudget(money, now));
  const parts = [plural(running.length, "burst")];
  if (priced.length) parts.push(dollars(spent));
  if (over.length) parts.push("over budget");
  const unknown = running.filter(({ money }) => money && !money.priced).length;
  const lines = running.map(({ session, jobs, money }) => `${titleOf(session, jobs)}: ${moneyOf(money, now)}`);
  if (unknown) lines.push(`of ${plural(unknown, "session")} nobody knows the price`);
  return { running: running.length, words: parts.join(" · "), overBudget: over.length > 0, title: [...lines, "Open the list of sessions"].join("\n") };
}

export interface Ending {
  readonly id: string;
  readonly job: string;
  readonly words: string;
  readonly failed: boolean;
}

/** Sessions that ran in one list and have ended in the next. */
export function endedSince(before: SessionList | null, after: SessionList): Ending[] {
  const ran = new Set(before?.sessions.filter((each) => each.session.state === "running").map((each) => each.session.id));
  return after.sessions.flatMap((listed) => {
    const { session, jobs } = listed;
    const latest = jobs.at(-1);
    if (!ran.has(session.id) || session.state === "running" || !latest) return [];
    const failed = session.failed > 0 || jobs.some((job) => job.phase === "ended");
    const title = titleOf(session, jobs);
    return [{ id: session.id, job: latest.job, failed, words: `${title} ${verb(latest)}: ${countsOf(listed, session.completed + session.failed)}` }];
  });
}

function verb(job: ListedJobState): string {
  return job.phase === "ended" ? `ended (${job.state})` : "finished";
}

/** The name that `burst sessions` lists, too; of a session without one, what its latest job begins with. */
function titleOf({ id, name }: ListedState["session"], jobs: readonly ListedJobState[]): string {
  const title = jobs.at(-1)?.title || id;
  return name || (jobs.length > 1 ? `${title} and ${plural(jobs.length - 1, "more job")}` : title);
}

function countsOf({ session }: ListedState, done: number): string {
  if (session.problem) return session.problem;
  if (!session.total) return "no tasks";
  const parts = [`${count(done)} of ${count(session.total)}`];
  if (session.running) parts.push(`${count(session.running)} running`);
  if (session.failed) parts.push(`${count(session.failed)} failed`);
  return parts.join(" · ");
}

function moneyOf(money: Money | null, now: number): string {
  if (!money) return "";
  if (!money.priced) return "cost unknown";
  const spent = money.free ? "no charge" : dollars(spentNow(money, now));
  return `${spent}${budgetOf(money)}${overBudget(money, now) ? " · over budget" : ""}`;
}

function overBudget(money: Money | null, now: number): boolean {
  return money !== null && money.priced && !money.free && money.budget !== null && spentNow(money, now) > money.budget;
}

function spentNow(money: Money, now: number): number {
  return spentAt(money, Math.min(now, money.kept?.until ?? now));
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
