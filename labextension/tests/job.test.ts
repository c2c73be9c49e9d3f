import { describe, expect, it } from "vitest";

import { findJob } from "../src/job.js";
import type { Reply, Request } from "../src/server.js";
import { frameOf } from "./frames.js";

const STORE = "file:///store";
const PLACE = { session: "20261121-101828-5cj77ijt", job: "0", store: STORE };
const MISSING = missingFrom(STORE);

function missingFrom(store: string): Reply {
  return { status: 404, etag: "", body: { problem: "no session here", missing_from: store } };
}

/** A server with this answer about a job. */
function server(reply: Reply): Request {
  return () => Promise.resolve(reply);
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
    ["looks into another store", missingFrom("file:///other")],
    ["knows of another store that has it", { status: 404, etag: "", body: { problem: "it is in another store" } }],
    ["does not answer", { status: 0, etag: "", body: null }],
    ["has a fault", { status: 503, etag: "", body: { problem: "the store is busy" } }],
    ["is behind a proxy with a page", { status: 200, etag: "", body: null }],
  ])("may come back where the server %s", async (_, reply) => {
    expect(await findJob(server(reply), PLACE)).toMatchObject({ frame: null, gone: false });
  });

  it("may come back where nobody knows which store had it", async () => {
    expect(await findJob(server(MISSING), { ...PLACE, store: "" })).toMatchObject({ gone: false });
  });
});
