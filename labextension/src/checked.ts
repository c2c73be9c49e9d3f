// A frame from a notebook or over a network is somebody else's word. What is drawn from it loops over its numbers, so that
// each field is checked against its shape (shapes.ts) and against what can be true; unknown fields are left out.

import type { Frame } from "./frame.js";
import { SHAPES } from "./shapes.js";

const TEXT = 10_000; // characters
const ITEMS = 1000;
const LATEST = 1e11; // seconds since the epoch; beyond it there are no dates
const SESSION = /^\d{8}-\d{6}-[a-z2-7]{8}$/;
const JOB = /^[A-Za-z0-9][A-Za-z0-9_~-]{0,199}$/;

/** The frame in a value of any kind, or null if it is none. */
export function frameIn(value: unknown): Frame | null {
  const frame = checked(value, "Frame") as Frame | undefined;
  if (!frame || !SESSION.test(frame.session) || !JOB.test(frame.job) || frame.tasks.size < 1) return null;
  const { pending, running, completed, failed, not_run, total } = frame.counts;
  if (pending + running + completed + failed + not_run !== total) return null;
  // What a reader is told to copy and run is ours, whatever the file says.
  return { ...frame, attach: `%burst_attach ${frame.session}` };
}

/** A value as its shape has it; undefined if it is of another. */
function checked(value: unknown, shape: string): unknown {
  if (shape.endsWith("?")) return value === undefined || value === null ? undefined : checked(value, shape.slice(0, -1));
  if (shape.endsWith("|null")) return value === undefined || value === null ? null : checked(value, shape.slice(0, -5));
  if (shape.endsWith("[]")) return array(value, shape.slice(0, -2));
  switch (shape) {
    case "string":
      return typeof value === "string" && value.length <= TEXT ? value : undefined;
    case "boolean":
      return typeof value === "boolean" ? value : undefined;
    case "integer":
      return Number.isSafeInteger(value) && (value as number) >= 0 ? value : undefined;
    case "number":
      return typeof value === "number" && value >= 0 && value <= LATEST ? value : undefined;
    default:
      return object(value, SHAPES[shape] ?? {});
  }
}

function array(value: unknown, shape: string): unknown {
  if (!Array.isArray(value) || value.length > ITEMS) return undefined;
  const found = value.map((each) => checked(each, shape));
  return found.includes(undefined) ? undefined : found;
}

function object(value: unknown, fields: Readonly<Record<string, string>>): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  const found: Record<string, unknown> = {};
  for (const [name, shape] of Object.entries(fields)) {
    const field = checked((value as Record<string, unknown>)[name], shape);
    if (field !== undefined) found[name] = field;
    else if (!optional(shape, value, name)) return undefined;
  }
  return found;
}

function optional(shape: string, value: object, name: string): boolean {
  const said = (value as Record<string, unknown>)[name];
  return shape.endsWith("?") && (said === undefined || said === null);
}
