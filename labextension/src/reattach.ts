// A reopened notebook offers to bring the results of its jobs back, and one click runs the line that does it. On saving,
// the marks of its jobs are gathered in its own metadata, so that clearing outputs does not lose them.

import { Notification } from "@jupyterlab/apputils";
import { PageConfig } from "@jupyterlab/coreutils";
import { NotebookActions, type INotebookTracker, type NotebookPanel } from "@jupyterlab/notebook";

import type { Frame, SessionList } from "./frame.js";
import type { Answer } from "./host.js";
import { request } from "./jupyter.js";
import { jobsOf, Keeper, META } from "./marks.js";
import { isAt, LOAD, lostOf, offersOf, sessionsOf, startedBy, type Offer } from "./offers.js";
import { fault, type Collector } from "./server.js";
import type { Row } from "./sessions.js";

const KERNEL_WITHIN = 10_000; // milliseconds to wait for a kernel; there may be none

/** Keeps the marks of a notebook's jobs in its own metadata; offers the results that its kernel does not have, once. */
export async function reattach(panel: NotebookPanel): Promise<void> {
  const keeper = keepMarks(panel);
  await panel.context.ready;
  keeper.opened(Date.parse(panel.context.contentsModel?.last_modified ?? "") / 1000);
  await offerResults(panel, keeper);
}

function keepMarks(panel: NotebookPanel): Keeper {
  const { model, saveState } = panel.context;
  const write = (kept: object): void => {
    panel.content.model?.setMetadata(META, kept);
  };
  const keeper = new Keeper(() => model.toJSON(), write);
  saveState.connect((_, state) => {
    if (state === "started") keeper.saved(kernelOf(panel));
  });
  panel.sessionContext.statusChanged.connect((_, status) => {
    if (status === "restarting" || status === "autorestarting") keeper.restarted();
  });
  return keeper;
}

async function offerResults(panel: NotebookPanel, keeper: Keeper): Promise<void> {
  const found = jobsOf(panel.context.model.toJSON());
  const place = { path: pathOf(panel), since: keeper.since };
  await Promise.race([panel.sessionContext.ready, later(KERNEL_WITHIN)]);
  const reply = await request(`sessions?ids=${sessionsOf(found).join(",")}`);
  if (reply.status !== 200 || panel.isDisposed) return; // the outputs say what is wrong
  const list = reply.body as SessionList;
  for (const offer of [...offersOf(found, list, kernelOf(panel)), ...lostOf(found, list, place)]) show(panel, keeper, offer);
}

/** The end of a notebook's path: all that a browser knows of it. */
function pathOf(panel: NotebookPanel): string {
  const root = PageConfig.getOption("serverRoot").replace(/^~?\/*/, ""); // in a home it begins with a tilde
  return [root, panel.context.localPath].filter(Boolean).join("/");
}

function show(panel: NotebookPanel, keeper: Keeper, offer: Offer): void {
  const callback = (): void => {
    void collect(panel, offer);
  };
  const actions: Notification.IAction[] = [{ label: offer.label, callback, displayType: "accent" }];
  const { refusal } = offer;
  if (refusal) {
    const refuse = (): void => {
      keeper.refused(refusal);
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
