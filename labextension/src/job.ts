// A job by its ids, asked of the Jupyter server: its frame, or why there is none.

import { frameIn } from "./checked.js";
import type { Frame } from "./frame.js";
import { fault, type Fault, type Request } from "./server.js";

/** What JupyterLab writes down of a tab; a layout of an older version has no store. */
export type TabPlace = Readonly<Record<"session" | "job" | "store", string>>;

/** `gone`: it will not come back. */
export type FoundJob = { readonly frame: Frame } | { readonly frame: null; readonly fault: Fault; readonly gone: boolean };

/** Asks for a job. It is gone if it was deleted, or if the store that had it has it no more; a server may show another one. */
export async function findJob(request: Request, { session, job, store }: TabPlace): Promise<FoundJob> {
  const reply = await request(`sessions/${encodeURIComponent(session)}/${encodeURIComponent(job)}/frame`);
  const frame = reply.status === 200 ? frameIn(reply.body) : null;
  // The server remembers a deleted session for a while.
  if (frame?.end === "deleted") return { frame: null, fault: { problem: `${session} was deleted` }, gone: true };
  if (frame) return { frame };
  const said = fault(reply);
  return { frame: null, fault: said, gone: Boolean(store) && said.missing_from === store };
}
