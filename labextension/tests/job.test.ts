import { describe, expect, it } from "vitest";

import { findJob } from "../src/job.js";
import type { Reply, Request } from "../src/server.js";
import { frameOf } from "./frames.js";

const STORE = "file:///store";
const PLACE = { session: "20261121-101828-5cj77ijt", job: "0", store: STORE };
const MISSING: Reply = { status: 404, etag: "", body: { problem: "no session here" } };

function list(changes: object = {}): Reply {
  return { status: 200, etag: "", body: { store: STORE, sessions: [], problem: "", ...changes } };
}

/** A server with these answers about a job and about all. */
function server(job: Reply, sessions: Reply = list()): Request {
  return (path) => Promise.resolve(path === "sessions" ? sessions : job);
}

describe("a job that is asked for", () => {
  it("is its frame", async () => {
    const frame = frameOf();
    expect(await findJob(server({ status: 200, etag: "", body: frame }), PLACE)).toEqual({ frame });
  });

  it("is gone once it was deleted, or its store has it no more", async () => {
    const deleted = await findJob(server({ status: 200, etag: "", body: frameOf({ end: "deleted" }) }), PLACE);
    expect(deleted).toEqual({ frame: null, fault: { problem: `${PLACE.session} was deleted` }, gone: true });
    expect(await findJob(server(MISSING), PLACE)).toMatchObject({ frame: null, fault: { problem: "no session here" }, gone: true });
  });

  it.each([
    ["another store", MISSING, list({ store: "file:///other" })],
    ["a store that does not answer", MISSING, list({ problem: "the store does not answer" })],
    ["no list", MISSING, { status: 0, etag: "", body: null }],
    ["an odd list", MISSING, { status: 200, etag: "", body: null }],
    ["no answer", { status: 0, etag: "", body: null }, list()],
    ["a fault", { status: 503, etag: "", body: { problem: "the store is busy" } }, list()],
    ["a page of a proxy", { status: 200, etag: "", body: null }, list()],
  ])("may come back where the server has %s", async (_, job, sessions) => {
    expect(await findJob(server(job, sessions), PLACE)).toMatchObject({ frame: null, gone: false });
  });

  it("may come back where nobody knows which store had it", async () => {
    expect(await findJob(server(MISSING), { ...PLACE, store: "" })).toMatchObject({ gone: false });
  });
});
