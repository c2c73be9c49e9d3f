// A reopened notebook offers to bring the results of its jobs back, and one click runs the line that does it. On saving,
// the marks of its jobs are gathered in its own metadata, so that clearing outputs does not lose them.

import { Notification } from "@jupyterlab/apputils";
import { PageConfig } from "@jupyterlab/coreutils";
import { NotebookActions, type INotebookTracker, type NotebookPanel } from "@jupyterlab/notebook";

import type { Frame, SessionList } from "./frame.js";
import type { Answer } from "./host.js";
import { request } from "./jupyter.js";
import { bursts, forgotten, gather, jobsOf, META, sinceOf, withMark, type Mark } from "./marks.js";
import { isAt, LOAD, lostOf, offersOf, sessionsOf, startedBy, type Offer, type Place } from "./offers.js";
import { fault, type Collector } from "./server.js";
import type { Row } from "./sessions.js";

const KERNEL_WITHIN = 10_000; // milliseconds to wait for a kernel; there may be none

/** Keeps the marks of a notebook's jobs in its own metadata, and since when jobs may be its own. */
export function keepMarks(panel: NotebookPanel): void {
  let since = 0;
  void panel.context.ready.then(() => {
    since = placeOf(panel, panel.context.model.toJSON()).since;
  });
  panel.context.saveState.connect((context, state) => {
    if (state !== "started") return;
    keep(panel, gather(context.model.toJSON(), kernelOf(panel)), since);
  });
  panel.sessionContext.statusChanged.connect((_, status) => {
    if (status === "restarting" || status === "autorestarting") keep(panel, forgotten(panel.context.model.toJSON()));
  });
}

function keep(panel: NotebookPanel, marks: Mark[] | null, since = sinceOf(panel.context.model.toJSON())): void {
  if (marks !== null) panel.content.model?.setMetadata(META, { sessions: marks, ...(since ? { since } : {}) });
}

/** Offers the results that the notebook's kernel does not have, once after it was opened. */
export async function offerResults(panel: NotebookPanel): Promise<void> {
  await panel.context.ready;
  const notebook = panel.context.model.toJSON();
  const found = jobsOf(notebook);
  const place = placeOf(panel, notebook);
  await Promise.race([panel.sessionContext.ready, later(KERNEL_WITHIN)]);
  const reply = await request(`sessions?ids=${sessionsOf(found).join(",")}`);
  if (reply.status !== 200 || panel.isDisposed) return; // the outputs say what is wrong
  const list = reply.body as SessionList;
  for (const offer of [...offersOf(found, list, kernelOf(panel)), ...lostOf(found, list, place)]) show(panel, offer);
}

/**
 * A notebook without bursts may be new, with the name of an earlier one (Untitled.ipynb): jobs from before it was written are
 * not its own. It keeps that time when it gets bursts of its own.
 */
function placeOf(panel: NotebookPanel, notebook: unknown): Place {
  const written = Date.parse(panel.context.contentsModel?.last_modified ?? "") / 1000;
  return { path: pathOf(panel), since: sinceOf(notebook) || (bursts(notebook) ? 0 : written) };
}

/** The end of a notebook's path: all that a browser knows of it. */
function pathOf(panel: NotebookPanel): string {
  const root = PageConfig.getOption("serverRoot").replace(/^~?\/*/, ""); // in a home it begins with a tilde
  return [root, panel.context.localPath].filter(Boolean).join("/");
}

function show(panel: NotebookPanel, offer: Offer): void {
  const callback = (): void => {
    void collect(panel, offer);
  };
  const actions: Notification.IAction[] = [{ label: offer.label, callback, displayType: "accent" }];
  const { refusal } = offer;
  if (refusal) {
    const refuse = (): void => {
      keep(panel, withMark(panel.context.model.toJSON(), refusal));
    };
    actions.push({ label: "Don't offer it again", callback: refuse });
  }
  const id = Notification.info(offer.words, { autoClose: false, actions });
  panel.disposed.connect(() => {
    Notification.dismiss(id);
  });
}

/** Attaches to a session in the notebook that started it, where that is open; otherwise says what to type. */
export function attachWhereOpen(notebooks: INotebookTracker, { id, notebook, attach }: Row): Answer {
  return attachAt(notebooks, notebook, { session: id, line: attach });
}

/** A session with all its jobs, or one of them, and the line that brings it back. */
interface Meant {
  readonly session: string;
  readonly job?: string;
  readonly line: string;
}

function attachAt(notebooks: INotebookTracker, notebook: string, meant: Meant): Answer {
  const panel = notebooks.find((each) => isAt(notebook, pathOf(each)));
  if (!panel) {
    const where = notebook ? `${notebook} is not open here` : "no notebook started it";
    return { problem: where, way_out: `in a cell of any notebook, type ${meant.line}` };
  }
  return attachInside(panel, meant);
}

/** Collects into the kernel of a notebook that shows the job. */
export function collectorOf(panel: NotebookPanel): Collector {
  return {
    off: (frame) => stillRuns(frame) || (kernelOf(panel) === null ? "this notebook has no kernel: start one, then collect" : ""),
    run: (frame) => attachInside(panel, jobOf(frame)),
  };
}

/** The same from a tab: into the notebook that started the job. The list that is shown has the newest sessions only. */
export function collectorWhereOpen(notebooks: INotebookTracker): Collector {
  return {
    off: stillRuns,
    run: async (frame) => {
      const reply = await request(`sessions?ids=${frame.session}`);
      const found = reply.status === 200 ? startedBy(reply.body, frame.session) : fault(reply);
      return typeof found === "string" ? attachAt(notebooks, found, jobOf(frame)) : found;
    },
  };
}

/** Of a session's jobs, only the one that is shown: its other names may be bound to something else by now. */
function jobOf({ session, job, attach }: Frame): Meant {
  return { session, job, line: `${attach}/${job}` };
}

function stillRuns(frame: Frame): string {
  return frame.ended === null ? `it still runs; ${frame.attach} in a cell waits for its results` : "";
}

function attachInside(panel: NotebookPanel, { session, job, line }: Meant): Answer {
  const found = jobsOf(panel.context.model.toJSON()).filter(({ mark }) => mark.session === session && (job ?? mark.job) === mark.job);
  const ran = runBelow(panel, found.at(-1)?.cell ?? null, `${LOAD}${line}`);
  ran.catch((error: unknown) => Notification.error(String(error))); // it may take as long as the job
  return { ok: `${line} runs in a new cell of ${panel.title.label}.` };
}

function collect(panel: NotebookPanel, offer: Offer): Promise<void> {
  return runBelow(panel, offer.cell, offer.code);
}

/** Runs a line in a new cell below the one that started the job: what happens can be seen, and be run again. */
async function runBelow(panel: NotebookPanel, cell: number | null, code: string): Promise<void> {
  const { content, sessionContext } = panel;
  content.activeCellIndex = cell ?? content.widgets.length - 1;
  NotebookActions.insertBelow(content);
  content.activeCell?.model.sharedModel.setSource(code);
  await NotebookActions.run(content, sessionContext);
}

function kernelOf(panel: NotebookPanel): string | null {
  return panel.sessionContext.session?.kernel?.id ?? null;
}

function later(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
