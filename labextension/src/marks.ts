// Which jobs a notebook started: from the marks in its outputs' metadata, and from those that were gathered in its own,
// which survive cleared outputs, a copy and another name.

import { MIME, type Frame } from "./frame.js";

export const META = "burst_magic";
const SESSION = /^\d{8}-\d{6}-[a-z2-7]{8}$/;

/** What a view writes into the metadata of its output. */
export interface Mark {
  readonly session: string;
  readonly job: string;
  /** The name its results were bound to, or "". */
  readonly out: string;
  /** Seconds since the epoch. */
  readonly created: number;
  /** The id of the kernel that started it, where that was seen. */
  readonly kernel?: string;
  /** Not to be offered, nor to be attached to without its id. */
  readonly refused?: true;
}

export interface Found {
  readonly mark: Mark;
  /** The index of its cell, or null if its output was cleared. */
  readonly cell: number | null;
  /** The frame in its output. */
  readonly saved: Frame | null;
}

/** The jobs of a notebook, each once, oldest first; anything of another shape is somebody else's. */
export function jobsOf(notebook: unknown): Found[] {
  const found = new Map<string, Found>();
  const gathered = list(part(part(notebook, "metadata"), META), "sessions");
  for (const mark of gathered) add(found, mark, null, null);
  list(notebook, "cells").forEach((cell, index) => {
    for (const output of list(cell, "outputs")) {
      const frame = part(part(output, "data"), MIME);
      add(found, part(part(output, "metadata"), META), index, isFrame(frame) ? frame : null);
    }
  });
  return [...found.values()].sort((a, b) => a.mark.created - b.mark.created);
}

/** Whether a notebook has started a job, or has a cell that may start one. */
export function bursts(notebook: unknown): boolean {
  const says = (cell: unknown): boolean => JSON.stringify(part(cell, "source") ?? "").includes("burst");
  return jobsOf(notebook).length > 0 || list(notebook, "cells").some(says);
}

/** The marks to keep in a notebook's own metadata; null if they are there. A new one gets the kernel that runs now. */
export function gather(notebook: unknown, kernel: string | null): Mark[] | null {
  const before = list(part(part(notebook, "metadata"), META), "sessions");
  const known = new Set(before.filter(isMark).map(keyOf));
  const marks = jobsOf(notebook).map(({ mark }) => (known.has(keyOf(mark)) || kernel === null ? mark : { ...mark, kernel }));
  return marks.length > known.size ? marks : null;
}

/** Since when what was started may be a notebook's own, seconds since the epoch; 0: that is not known. */
export function sinceOf(notebook: unknown): number {
  return number(part(part(part(notebook, "metadata"), META), "since"));
}

/** The marks to keep with one more. */
export function withMark(notebook: unknown, mark: Mark): Mark[] {
  return [...list(part(part(notebook, "metadata"), META), "sessions").filter(isMark), mark];
}

/** The marks to keep when the kernel restarts: it has the same id, and none of the results. Null if there are none. */
export function forgotten(notebook: unknown): Mark[] | null {
  const marks = jobsOf(notebook).map(({ mark }) => of(mark, undefined, mark.refused));
  return marks.length > 0 ? marks : null;
}

/**
 * What a notebook keeps in its own metadata: the marks, and since when jobs may be its own, with the first of them. A notebook
 * without bursts may be new, with the name of an earlier one (Untitled.ipynb): jobs from before it was written are not its own.
 */
export class Keeper {
  #since = 0;

  constructor(
    private readonly notebook: () => unknown,
    private readonly write: (kept: object) => void,
  ) {}

  get since(): number {
    return this.#since;
  }

  /** It was opened; its file was written then, seconds since the epoch. */
  opened(written: number): void {
    this.#since = sinceOf(this.notebook()) || (bursts(this.notebook()) ? 0 : written);
  }

  saved(kernel: string | null): void {
    this.#keep(gather(this.notebook(), kernel));
  }

  restarted(): void {
    this.#keep(forgotten(this.notebook()));
  }

  refused(mark: Mark): void {
    this.#keep(withMark(this.notebook(), mark));
  }

  #keep(marks: Mark[] | null): void {
    const since = sinceOf(this.notebook()) || this.#since;
    if (marks !== null) this.write({ sessions: marks, ...(since ? { since } : {}) });
  }
}

function add(found: Map<string, Found>, mark: unknown, cell: number | null, saved: Frame | null): void {
  if (!isMark(mark)) return;
  const before = found.get(keyOf(mark));
  const whole = of(mark, before?.mark.kernel ?? mark.kernel, before?.mark.refused ?? mark.refused);
  found.set(keyOf(mark), { mark: whole, cell: cell ?? before?.cell ?? null, saved: saved ?? before?.saved ?? null });
}

function of(mark: Mark, kernel: unknown, refused: unknown): Mark {
  const known = { session: mark.session, job: text(mark.job), out: text(mark.out), created: number(mark.created) };
  return { ...known, ...(typeof kernel === "string" ? { kernel } : {}), ...(refused === true ? { refused } : {}) };
}

function keyOf(mark: Mark): string {
  return `${mark.session}/${text(mark.job)}/${text(mark.out)}`;
}

/** Its session becomes a part of a request's address, and a notebook may hold anything. */
function isMark(value: unknown): value is Mark {
  return SESSION.test(text(part(value, "session")));
}

function isFrame(value: unknown): value is Frame {
  return typeof part(value, "session") === "string" && typeof part(value, "job") === "string";
}

function part(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function list(value: unknown, name: string): unknown[] {
  const found = part(value, name);
  return Array.isArray(found) ? found : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number {
  return typeof value === "number" ? value : 0;
}
