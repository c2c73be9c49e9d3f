// What a reopened notebook offers: to bring the results of its jobs back into a kernel that does not have them.

import type { ListedJobState, SessionList } from "./frame.js";
import type { Found, Mark } from "./marks.js";
import type { Fault } from "./server.js";

export interface Offer {
  /** `settle finished while you were away`. */
  readonly words: string;
  /** What a button says. */
  readonly label: string;
  /** What a kernel is to run. */
  readonly code: string;
  /** The index of the cell that started the job, or null if nobody knows. */
  readonly cell: number | null;
  /** What the notebook keeps so that this is not offered again; null if it has it, and goes on offering. */
  readonly refusal: Mark | null;
}

export const LOAD = "%load_ext burst_magic\n"; // before the line that a kernel is to run
const MOST = 3; // offers at once; `%burst_attach` brings everything back

/** The sessions that the list is to be asked for. */
export function sessionsOf(found: readonly Found[]): string[] {
  return [...new Set(found.filter(({ mark }) => mark.out).map(({ mark }) => mark.session))].slice(-100);
}

/** The path of the notebook that started a session, "" for none; or why the server's list does not tell it. */
export function startedBy(list: unknown, session: string): string | Fault {
  const { sessions = [], problem = "", context = "", way_out = "" } = (list ?? {}) as Partial<SessionList>;
  const listed = sessions.find((each) => each.session.id === session);
  if (listed && !listed.session.problem) return listed.session.notebook;
  const why = problem ? { problem, context, way_out } : { problem: listed?.session.problem ?? "the server's list does not have it" };
  return { ...why, problem: `it is not known which notebook started ${session}: ${why.problem}` };
}

/** Offers, newest first: the last job of each name whose results this kernel (null: none) did not start. */
export function offersOf(found: readonly Found[], list: SessionList, kernel: string | null): Offer[] {
  const last = new Map(found.filter(({ mark }) => mark.out).map((each) => [each.mark.out, each]));
  const newest = [...last.values()].sort((a, b) => b.mark.created - a.mark.created);
  const offers = newest.map((each) => {
    const job = jobIn(list, each);
    const here = kernel !== null && each.mark.kernel === kernel;
    return job && !here ? offerOf(each, job) : null;
  });
  return offers.filter((offer) => offer !== null).slice(0, MOST);
}

/** Where a notebook is, and since when what was started there may be its own. */
export interface Place {
  /** The path's end, from the server's root on: all that a browser knows of it. */
  readonly path: string;
  /** Seconds since the epoch. */
  readonly since: number;
}

/** Whether this is the file of a notebook; one of the same name in another folder is not. `path`: from the server's root on. */
export function isAt(file: string, path: string): boolean {
  return file.endsWith(`/${path}`);
}

/**
 * Offers of jobs that a notebook started and does not hold: a page that was reloaded before it was saved has lost their
 * outputs, and saving it later does not bring them back. A cell that was run again is not asked about its earlier runs, and
 * nobody about sessions whose key is not here: those of a colleague whose notebook has the same name, for instance.
 */
export function lostOf(found: readonly Found[], list: SessionList, { path, since }: Place): Offer[] {
  const known = new Set(found.map(({ mark }) => `${mark.session}/${mark.job}`));
  const newest = new Map<string, number>();
  for (const { mark, saved } of found) note(newest, mark.out || (saved?.title ?? ""), mark.created);
  const jobs = list.sessions
    .filter(({ session, mine }) => mine && isAt(session.notebook, path))
    .flatMap(({ session, jobs: its }) => its.filter(({ created }) => created > since).map((job) => ({ session, job })));
  for (const { job } of jobs) note(newest, job.out || job.title, job.created);
  const lost = jobs
    .filter(({ session, job }) => !known.has(`${session.id}/${job.job}`) && newest.get(job.out || job.title) === job.created)
    .sort((a, b) => b.job.created - a.job.created);
  return lost.slice(0, MOST).map(({ session, job }) => {
    const mark = { session: session.id, job: job.job, out: job.out, created: job.created };
    const refusal: Mark = { ...mark, out: "", refused: true }; // of no name: its results are not offered either
    return { ...offerOf({ mark, cell: null, saved: null }, job), label: "Show it here", refusal };
  });
}

function note(newest: Map<string, number>, name: string, created: number): void {
  newest.set(name, Math.max(created, newest.get(name) ?? 0));
}

function jobIn(list: SessionList, { mark }: Found): ListedJobState | undefined {
  const session = list.sessions.find((each) => each.session.id === mark.session);
  return session?.jobs.find((job) => job.job === mark.job);
}

function offerOf({ mark, cell, saved }: Found, job: ListedJobState): Offer {
  const running = job.ended === null;
  return {
    words: `${job.title || mark.out || mark.session} ${running ? "was running when this page was loaded" : outcome(job, saved?.ended === null)}`,
    label: `${running ? "Attach as" : "Collect into"} ${mark.out}`,
    code: `${LOAD}${job.attach}/${job.job}`, // the session's other names may be bound to something else by now
    cell,
    refusal: null,
  };
}

function outcome(job: ListedJobState, away: boolean): string {
  const when = away ? " while you were away" : "";
  if (job.phase === "ended") return `ended${when}: ${job.state}, ${job.done} of ${job.total} done`;
  return job.failed ? `finished${when}, ${job.failed} of ${job.total} failed` : `finished${when}`;
}
