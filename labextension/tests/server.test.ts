import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Frame } from "../src/frame.js";
import { ServerHost } from "../src/server.js";
import { frameOf, NOW } from "./frames.js";

const PLACE = { session: "20261121-101828-5cj77ijt", job: "0", saved: null };

interface Asked {
  readonly path: string;
  readonly init: RequestInit;
}

/** A server that gives its answers in turn, the last one for ever. */
class Server {
  readonly asked: Asked[] = [];

  constructor(readonly answers: (Response | Error)[]) {}

  readonly ask = (path: string, init: RequestInit): Promise<Response> => {
    this.asked.push({ path, init });
    const answer = this.answers.length > 1 ? this.answers.shift() : this.answers[0];
    return answer instanceof Response ? Promise.resolve(answer.clone()) : Promise.reject(answer ?? new Error("none"));
  };
}

function json(body: unknown, init: ResponseInit = {}): Response {
  return new Response(JSON.stringify(body), init);
}

function framed(changes: Parameters<typeof frameOf>[0] = {}): Response {
  return json(frameOf(changes), { headers: { ETag: '"tag"' } });
}

function page(hidden = false): Document {
  return Object.assign(new EventTarget(), { hidden }) as unknown as Document;
}

const unchanged = new Response(null, { status: 304 });
let hosts: ServerHost[] = [];

function hostOf(server: Server, seen: Document = page(), place: ConstructorParameters<typeof ServerHost>[1] = PLACE): ServerHost {
  const host = new ServerHost(server.ask, place, seen).start();
  hosts.push(host);
  return host;
}

async function pass(milliseconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(milliseconds);
}

beforeEach(() => {
  vi.useFakeTimers({ now: NOW * 1000 });
});

afterEach(() => {
  for (const host of hosts) host.stop();
  hosts = [];
  vi.useRealTimers();
});

describe("frames from a server", () => {
  it("shows the saved frame until the server answers, and says so", async () => {
    const server = new Server([framed({ progress: "60 %" })]);
    const host = hostOf(server, page(), { ...PLACE, saved: frameOf() });
    expect([host.frame()?.progress, host.link().from]).toEqual(["52 %", "saved"]);
    await pass(0);
    expect([host.frame()?.progress, host.link().from]).toEqual(["60 %", "server"]);
  });

  it("asks each second while it is seen, and each 10 s while it is not", async () => {
    for (const [hidden, questions] of [[false, 21], [true, 3]] as const) {
      const server = new Server([framed(), unchanged]);
      hostOf(server, page(hidden));
      await pass(20_000);
      expect(server.asked.length).toBe(questions);
    }
  });

  it("says what it has, and draws nothing again that has not changed", async () => {
    const server = new Server([framed(), unchanged]);
    const host = hostOf(server);
    let drawn = 0;
    host.on(() => {
      drawn += 1;
    });
    await pass(0);
    expect(drawn).toBe(1);
    await pass(1000);
    expect(server.asked[1]?.path).toBe("sessions/20261121-101828-5cj77ijt/0/frame?failures=a&output=b");
    expect(server.asked[1]?.init.headers).toEqual({ "If-None-Match": '"tag"' });
  });

  it("keeps the parts that a frame leaves out", async () => {
    const lean: Partial<Frame> = frameOf({ progress: "61 %" });
    delete lean.failures;
    delete lean.output;
    const server = new Server([framed(), json(lean)]);
    const host = hostOf(server);
    await pass(1000);
    expect(host.frame()?.progress).toBe("61 %");
    expect(host.frame()?.failures).toEqual(frameOf().failures);
  });

  it("stops after an end for good, and looks rarely after one that may be taken back", async () => {
    for (const [end, questions] of [["finished", 1], ["no workers", 5]] as const) {
      const server = new Server([framed({ ended: NOW, end })]);
      hostOf(server);
      await pass(120_000);
      expect(server.asked.length).toBe(questions);
    }
  });

  it("backs off while the server does not answer, keeps the frame, and comes back", async () => {
    const server = new Server([framed(), new Error("refused"), new Error("refused"), new Error("refused"), framed({ progress: "70 %" })]);
    const host = hostOf(server);
    await pass(1000);
    expect(host.link().problem).toContain("does not answer");
    expect(host.frame()?.progress).toBe("52 %");
    await pass(2000 + 4000 - 1);
    expect(server.asked.length).toBe(3);
    await pass(1 + 8000);
    expect([host.frame()?.progress, host.link().problem]).toEqual(["70 %", ""]);
  });

  it("tells a server without the extension from one that refuses", async () => {
    const bare = hostOf(new Server([new Response("<html>404</html>", { status: 404 })]));
    const refusing = hostOf(new Server([json({ problem: "session s is unknown or has expired", context: "", way_out: "x" }, { status: 404 })]));
    await pass(0);
    expect(bare.link().problem).toContain("has no burst_magic extension");
    expect(bare.can()).toContain("has no burst_magic extension");
    expect(refusing.link().problem).toBe("session s is unknown or has expired — x");
  });

  it("looks at once when the page is seen again", async () => {
    const seen = page(true);
    const server = new Server([framed(), unchanged]);
    hostOf(server, seen);
    await pass(0);
    seen.dispatchEvent(new Event("visibilitychange"));
    await pass(0);
    expect(server.asked.length).toBe(2);
  });

  it("asks nothing once it is stopped", async () => {
    const server = new Server([framed(), unchanged]);
    const host = hostOf(server);
    await pass(0);
    host.stop();
    await pass(60_000);
    expect(server.asked.length).toBe(1);
  });

  it("does not draw frames of a newer version", async () => {
    const host = hostOf(new Server([framed({ version: 99 })]));
    await pass(0);
    expect(host.frame()).toBeNull();
    expect(host.link().problem).toContain("reload");
  });
});

describe("what is asked of a server", () => {
  it.each([
    ["tasks", { group: "g" }, "GET", "sessions/S/0/tasks?group=g"],
    ["tasks", { group: "g", after: 0 }, "GET", "sessions/S/0/tasks?group=g&after=0"],
    ["task", { task: 17 }, "GET", "sessions/S/0/tasks/17"],
    ["states", { start: 10_000 }, "GET", "sessions/S/0/states?start=10000"],
    ["workers", {}, "GET", "sessions/S/0/workers"],
    ["cancel", {}, "POST", "sessions/S/0/cancel"],
    ["cancel_session", {}, "POST", "sessions/S/cancel"],
    ["scale", { workers: 4 }, "POST", "sessions/S/scale"],
    ["extend", { seconds: 3600 }, "POST", "sessions/S/extend"],
  ])("%s %o is %s %s", async (kind, fields, method, path) => {
    const server = new Server([framed(), json({ notice: "done" })]);
    const host = hostOf(server);
    await pass(0);
    await host.ask(kind, fields);
    expect(server.asked[1]?.path).toBe(path.replace("S", PLACE.session));
    expect(server.asked[1]?.init.method ?? "GET").toBe(method);
  });

  it("answers with the server's words, and looks at once", async () => {
    const server = new Server([framed(), json({ notice: "Cancelling this job." }), framed({ end: "cancelled", ended: NOW })]);
    const host = hostOf(server);
    await pass(0);
    expect(await host.ask("cancel")).toEqual({ ok: "Cancelling this job." });
    await pass(0);
    expect([host.notice(), host.frame()?.end]).toEqual(["Cancelling this job.", "cancelled"]);
  });

  it("answers with a problem instead of throwing", async () => {
    const refused = { problem: "this session's key is not on this machine", context: "s", way_out: "burst key show" };
    const server = new Server([framed(), json(refused, { status: 403 }), new Error("gone")]);
    const host = hostOf(server);
    await pass(0);
    expect(await host.ask("cancel")).toEqual(refused);
    expect((await host.ask("workers")).problem).toContain("does not answer");
    expect((await host.ask("nonsense")).problem).toBeDefined();
  });

  it("is possible while the job runs and the server answers", async () => {
    const server = new Server([framed(), framed({ ended: NOW, end: "finished" })]);
    const host = hostOf(server);
    expect(host.can()).toContain("has not answered");
    await pass(0);
    expect(host.can()).toBe("");
    await pass(1000);
    expect(host.can()).toBe("the job has ended");
  });
});
