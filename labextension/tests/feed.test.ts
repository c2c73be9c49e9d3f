import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Feed } from "../src/feed.js";
import type { SessionList } from "../src/frame.js";
import type { Reply, Request } from "../src/server.js";

const EMPTY: SessionList = { store: "", sessions: [], unread: 0, more: 0, problem: "", context: "", way_out: "", account: null };
const RUNNING = { ...EMPTY, sessions: [{ session: { id: "a", state: "running" } }] as unknown as SessionList["sessions"] };
const NEW = (list: SessionList = EMPTY): Reply => ({ status: 200, etag: '"1"', body: list });
const SAME: Reply = { status: 304, etag: '"1"', body: null };
const AWAY: Reply = { status: 0, etag: "", body: null };

function server(...replies: Reply[]): { asked: (RequestInit | undefined)[]; request: Request } {
  const asked: (RequestInit | undefined)[] = [];
  const request: Request = (_path, init) => {
    asked.push(init);
    return Promise.resolve((replies.length > 1 ? replies.shift() : replies[0]) ?? AWAY);
  };
  return { asked, request };
}

describe("the list of sessions", () => {
  let heard: () => void = () => undefined;
  const page = {
    hidden: false,
    addEventListener: (_name: string, listener: () => void) => (heard = listener),
    removeEventListener: () => undefined,
  };
  const hide = (hidden: boolean): void => {
    page.hidden = hidden;
    heard();
  };
  beforeEach(() => {
    vi.useFakeTimers();
    page.hidden = false;
    vi.stubGlobal("document", page);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("is asked for again after an answer that is no list", async () => {
    const { asked, request } = server({ status: 200, etag: "", body: { login: "first" } }, NEW());
    const feed = new Feed(request);
    feed.want("sidebar", 2000);
    await vi.advanceTimersByTimeAsync(0);
    expect([feed.list(), feed.problem()?.problem]).toEqual([null, "the Jupyter server answered something else"]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(asked.length).toBeGreaterThan(1);
    expect([feed.list(), feed.problem()]).toEqual([EMPTY, null]);
    feed.stop();
  });

  it("is not asked for while nobody wants it", async () => {
    const { asked, request } = server(NEW());
    const feed = new Feed(request);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(asked).toHaveLength(0);
    feed.stop();
  });

  it("is asked for as often as the most eager wants, and less often when that one goes", async () => {
    const { asked, request } = server(NEW());
    const feed = new Feed(request);
    feed.want("status", 30_000);
    feed.want("sidebar", 2000);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(asked).toHaveLength(7); // one each when they began to want it, five since
    feed.want("sidebar", null);
    await vi.advanceTimersByTimeAsync(2000); // the question that was coming
    const before = asked.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked.length - before).toBe(2);
    feed.stop();
  });

  it("names what it has, keeps it, and is asked for more rarely while nothing changes", async () => {
    const { asked, request } = server(NEW(RUNNING), SAME);
    const feed = new Feed(request);
    feed.want("sidebar", 2000);
    await vi.advanceTimersByTimeAsync(0);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked[1]?.headers).toEqual({ "If-None-Match": '"1"' });
    expect(feed.list()).toEqual(RUNNING);
    expect(asked.length).toBeLessThan(15);
    feed.look();
    await vi.advanceTimersByTimeAsync(2000);
    expect(asked.length).toBeLessThan(17);
    feed.stop();
  });

  it("is not asked for while the document is hidden, and at once when it is seen again", async () => {
    const { asked, request } = server(NEW(RUNNING));
    const feed = new Feed(request);
    feed.want("sidebar", 2000);
    await vi.advanceTimersByTimeAsync(0);
    hide(true);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(asked).toHaveLength(1);
    hide(false);
    await vi.advanceTimersByTimeAsync(0);
    expect(asked).toHaveLength(2);
    feed.stop();
  });

  it("is asked for once a minute behind a hidden document, if the reader is told of ends there and something runs", async () => {
    const { asked, request } = server(NEW(RUNNING), NEW(EMPTY));
    const feed = new Feed(request, () => true);
    feed.want("status", 30_000);
    await vi.advanceTimersByTimeAsync(0);
    hide(true);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(asked).toHaveLength(2); // the second one says that nothing runs any more
    feed.stop();
  });

  it("is asked for ever more rarely while nothing answers, and says why", async () => {
    const { asked, request } = server(NEW(RUNNING), AWAY);
    const feed = new Feed(request);
    feed.want("sidebar", 2000);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(asked.length).toBeLessThan(20);
    expect(feed.problem()?.problem).toBe("the Jupyter server does not answer");
    expect(feed.list()).toEqual(RUNNING);
    feed.stop();
  });

  it("says what to do where the server has no part of ours, and what the server says of its store", async () => {
    const troubled = { ...EMPTY, problem: "no credentials", way_out: "aws sso login" };
    const { request } = server({ status: 404, etag: "", body: null }, NEW(troubled), NEW());
    const feed = new Feed(request);
    feed.want("sidebar", 2000);
    await vi.advanceTimersByTimeAsync(0);
    expect(feed.problem()).toMatchObject({ problem: "this Jupyter server has no burst_magic", way_out: "install it there, and restart the server" });
    feed.look();
    await vi.advanceTimersByTimeAsync(0);
    expect(feed.problem()).toMatchObject({ problem: "no credentials", way_out: "aws sso login" });
    feed.look();
    await vi.advanceTimersByTimeAsync(0);
    expect(feed.problem()).toBeNull();
    feed.stop();
  });
});
