import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Frame } from "../src/frame.js";
import { newestOf, ServerHost, type Reply, type Request } from "../src/server.js";
import { frameOf } from "./frames.js";

const OK = (frame: Frame): Reply => ({ status: 200, etag: '"1"', body: frame });
const SAME: Reply = { status: 304, etag: '"1"', body: null };
const AWAY: Reply = { status: 0, etag: "", body: null };

interface Asked {
  readonly path: string;
  readonly init: RequestInit | undefined;
}

/** A server that gives these replies one after the other, then the last one again. */
function server(...replies: Reply[]): { asked: Asked[]; request: Request } {
  const asked: Asked[] = [];
  const request: Request = (path, init) => {
    if (path.endsWith("/output")) return Promise.resolve({ status: 200, etag: "", body: { "text/plain": "for the file" } });
    asked.push({ path, init });
    return Promise.resolve((replies.length > 1 ? replies.shift() : replies[0]) ?? AWAY);
  };
  return { asked, request };
}

describe("a host that asks the Jupyter server", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("document", { hidden: false, addEventListener: () => undefined, removeEventListener: () => undefined });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("says that it has the saved frame only, until the server has answered", async () => {
    const { request } = server(OK(frameOf()));
    const host = new ServerHost(request, frameOf());
    expect([host.link().from, host.can("cancel")]).toEqual(["saved", "no answer from the Jupyter server yet"]);
    host.start();
    await vi.advanceTimersByTimeAsync(0);

    expect([host.link().from, host.can("cancel")]).toEqual(["server", ""]);
    host.stop();
  });

  it("goes on asking after an answer that is no frame, such as a page of a proxy", async () => {
    const { request } = server({ status: 200, etag: "", body: null }, OK(frameOf({ title: "newer" })));
    const host = new ServerHost(request, frameOf());
    host.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(host.link().problem).toContain("answered something else");
    await vi.advanceTimersByTimeAsync(2000);

    expect([host.link().problem, host.frame().title]).toEqual(["", "newer"]);
    host.stop();
  });

  it("lets a session's workers be stopped after the job, and nothing else", async () => {
    const { request } = server(OK(frameOf({ ended: 1, end: "finished", state: "finished" })));
    const host = new ServerHost(request, frameOf());
    host.start();
    await vi.advanceTimersByTimeAsync(0);

    expect([host.can("cleanup"), host.can("cancel_session")]).toEqual(["", ""]);
    expect([host.can("scale"), host.can("extend"), host.can("cancel")]).toEqual(Array(3).fill("the job is over: finished"));
    host.stop();
  });

  it("goes on asking after the job while workers are kept, ever less often, until they end", async () => {
    const ends = Date.now() / 1000 + 30;
    const money = { ...frameOf().money, kept: { count: 2, hourly: 1, until: ends } };
    const { asked, request } = server(OK(frameOf({ ended: 1, end: "finished", state: "finished", money })), SAME);
    const host = new ServerHost(request, frameOf());
    host.start();
    await vi.advanceTimersByTimeAsync(29_000);
    expect(asked).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(600_000);

    expect(asked).toHaveLength(4);
    host.stop();
  });

  it("names the parts and the frame that it has, and keeps them when they are left out", async () => {
    const { failures, output, ...lean } = frameOf({ title: "newer" });
    const { asked, request } = server(OK(frameOf()), OK(lean), SAME);
    const host = new ServerHost(request, frameOf());
    host.start();
    await vi.advanceTimersByTimeAsync(1000);

    expect(asked[1]?.path).toMatch(/frame\?failures=a&output=b$/);
    expect(asked[1]?.init?.headers).toEqual({ "If-None-Match": '"1"' });
    expect(host.frame()).toEqual({ ...lean, failures, output });
    expect(newestOf(frameOf())).toEqual({ "text/plain": "for the file" });
    host.stop();
  });

  it("asks each second while it is seen, each ten seconds while it is not, and at once when it is seen again", async () => {
    const { asked, request } = server(OK(frameOf()), SAME);
    const host = new ServerHost(request, frameOf());
    host.start();
    await vi.advanceTimersByTimeAsync(5000);
    expect(asked).toHaveLength(6);
    host.show(false);
    await vi.advanceTimersByTimeAsync(21_000);
    expect(asked).toHaveLength(9);
    host.show(true);
    await vi.advanceTimersByTimeAsync(0);

    expect(asked).toHaveLength(10);
    host.stop();
  });

  it("asks ever more rarely while nothing answers, and says so", async () => {
    const { asked, request } = server(AWAY);
    const host = new ServerHost(request, frameOf());
    host.start();
    await vi.advanceTimersByTimeAsync(600_000);

    expect(asked.length).toBeLessThan(20);
    expect(host.link().problem).toBe("the Jupyter server does not answer");
    host.stop();
  });

  it("stops for good after an end that nothing follows, and not after a limit that may be raised", async () => {
    const ended = frameOf({ ended: 1, end: "cancelled", phase: "ended" });
    const expired = frameOf({ ended: 1, end: "deadline", phase: "ended" });
    for (const [frame, polls] of [[ended, 1], [expired, 11]] as const) {
      const { asked, request } = server(OK(frame));
      const host = new ServerHost(request, frameOf());
      host.start();
      await vi.advanceTimersByTimeAsync(10_000);
      expect(asked).toHaveLength(polls);
      host.stop();
    }
  });

  it("asks once for a job that was over when it was saved, and says nothing if it is not there any more", async () => {
    const ended = frameOf({ ended: 1, end: "finished", phase: "finished" });
    const { asked, request } = server({ status: 404, etag: "", body: { problem: "it has expired" } });
    const host = new ServerHost(request, ended);
    host.start();
    await vi.advanceTimersByTimeAsync(600_000);

    expect([asked.length, host.link().problem, host.frame()]).toEqual([1, "", ended]);
    host.stop();
  });

  it("looks for another host once, when the server does not know the job", async () => {
    const lost = vi.fn();
    const { request } = server({ status: 404, etag: "", body: { problem: "no such session", way_out: "look elsewhere" } });
    const host = new ServerHost(request, frameOf(), lost);
    host.start();
    await vi.advanceTimersByTimeAsync(30_000);

    expect(lost).toHaveBeenCalledOnce();
    expect(host.link().problem).toBe("no such session; look elsewhere");
    host.stop();
  });

  it("sends each request to its route, and looks again after an action", async () => {
    const asked: Asked[] = [];
    const request: Request = (path, init) => {
      asked.push({ path, init });
      return Promise.resolve(path.includes("/frame") ? SAME : { status: 200, etag: "", body: { notice: "done" } });
    };
    const host = new ServerHost(request, frameOf());
    const job = "sessions/20261121-101828-5cj77ijt/0";
    expect(await host.ask("cancel")).toEqual({ ok: "done" });
    await host.ask("scale", { workers: 3 });
    await host.ask("tasks", { group: "g", after: 7 });
    await host.ask("task", { task: 5 });
    host.stop();
    const paths = asked.map(({ path, init }) => `${init?.method ?? "GET"} ${path}`).filter((path) => !path.includes("/frame"));

    expect(paths).toEqual([
      `POST ${job}/cancel`,
      "POST sessions/20261121-101828-5cj77ijt/scale",
      `GET ${job}/tasks?group=g&after=7`,
      `GET ${job}/tasks/5`,
    ]);
  });
});
