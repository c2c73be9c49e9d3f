import { describe, expect, it } from "vitest";

import type { Frame } from "../src/frame.js";
import { cellsOf, shown, type Shown } from "../src/shown.js";
import { frameOf, KERNEL, NOW } from "./frames.js";

const at = (changes: Partial<Frame>, now = NOW): Shown => shown(frameOf(changes), KERNEL, now);

describe("a running job", () => {
  it("says state, percentage, time left and money against the budget", () => {
    const now = at({});

    expect([now.state, now.title, now.percent, now.time, now.money]).toEqual(["Running", "settle", "52\u202f%", "≈ 40 s left", "$0.12 / $5.00"]);
    expect(now.counts).toBe("50 done · 2 running · 46 pending · 2 failed");
  });

  it("counts time and money on while the frame stays the same", () => {
    const later = at({}, NOW + 20);

    expect(later.time).toBe("≈ 20 s left");
    expect(later.money).toBe("$0.12 / $5.00");
    expect(at({}, NOW + 600).money).toBe("$0.18 / $5.00");
  });

  it("counts by the store's clock, whatever this page's clock says", () => {
    expect(shown(frameOf(), { ...KERNEL, ahead: 3600 }, NOW - 3600).time).toBe("≈ 40 s left");
  });

  it("gives no number of seconds once the forecast has passed", () => {
    expect(at({}, NOW + 60).time).toBe("longer than expected");
  });

  it("has its segments in the order of states, and they add up to all tasks", () => {
    const { segments } = at({});

    expect(segments.map(({ state }) => state)).toEqual(["done", "running", "pending", "failed"]);
    expect(segments.reduce((sum, { count }) => sum + count, 0)).toBe(100);
  });

  it("names each kind of failure with its line and its first task", () => {
    const [line] = at({}).failures;

    expect(line).toMatchObject({ number: "2 failed", message: "ValueError: no fixed point", where: "line 2 · first: task 17", opens: true });
  });

  it("names a task only when it has been running for long", () => {
    const longest = { task: 3, since: NOW - 59, worker: "w" };

    expect(at({ longest }).note).toBe("2 workers");
    expect(at({ longest }, NOW + 1).note).toBe("2 workers; task 3 has been running for 1 min 00 s");
  });
});

describe("what a reader should know first", () => {
  const waiting = { cause: "refused", words: "no capacity in us-east-1", since: null, way_out: "wait: starts are repeated" } as const;
  const coming = [{ phase: "pulling the image", count: 2, since: NOW - 30 }];

  it("is why nothing runs, since when, and what to do", () => {
    const workers = { ...frameOf().workers, alive: 0, coming };

    expect(at({ phase: "waiting", waiting, workers }).note).toBe(
      "No capacity in us-east-1 (2 pulling the image for 30 s); wait: starts are repeated",
    );
    expect(at({ waiting: { ...waiting, since: NOW - 90 } }).note).toContain("for 1 min 30 s");
  });

  it("is the age of facts when the store does not answer", () => {
    expect(at({ stale: { since: NOW - 120, why: "throttled" }, waiting }).note).toBe("As seen 2 min ago: throttled");
  });

  it("is that a server has fallen silent", () => {
    const link = { ...KERNEL, from: "server" as const, seen: (NOW - 120) * 1000 };

    expect(shown(frameOf(), link, NOW).note).toBe("As seen 2 min ago: the Jupyter server does not answer");
    expect(shown(frameOf(), { ...link, seen: NOW * 1000 }, NOW).note).toBe("2 workers");
  });

  it("is how to follow a job of which only the file is left", () => {
    const saved = shown(frameOf(), { from: "saved", seen: null, problem: "", ahead: 0 }, NOW + 3600);

    expect(saved.note).toMatch(/^As of .* run %burst_attach 20261121-101828-5cj77ijt$/);
    expect([saved.time, saved.money]).toEqual(["≈ 40 s left", "$0.12 / $5.00"]);
  });

  it("is lost workers", () => {
    const workers = { ...frameOf().workers, alive: 1, lost: "1 of 2 lost, not replaced while no notebook is attached" };

    expect(at({ workers }).note).toBe("1 of 2 lost, not replaced while no notebook is attached");
  });
});

describe("a job that is over", () => {
  const ended = { ended: NOW, phase: "finished" as const, end: "finished", state: "finished", forecast: null, failures: { groups: [], more: 0, more_tasks: 0, unread: "" } };
  const all = { total: 100, pending: 0, running: 0, completed: 100, failed: 0, not_run: 0, reused: 0 };

  it("needs one line after success", () => {
    const now = at({ ...ended, counts: all });

    expect(now.plain).toBe(true);
    expect([now.state, now.percent, now.time]).toEqual(["Finished", "100\u202f%", "in 40 s"]);
  });

  it("says where the results are, and claims no kernel that does not answer", () => {
    const here = shown(frameOf({ ...ended, counts: all }), KERNEL, NOW);
    const elsewhere = shown(frameOf({ ...ended, counts: all }), { ...KERNEL, from: "server" }, NOW);

    expect(here.note).toBe("Results are in points");
    expect(elsewhere.note).toBe("Results are in points in the kernel that ran this cell; in another one, %burst_attach 20261121-101828-5cj77ijt brings them back");
  });

  it("needs more after a failure", () => {
    expect(at({ ...ended, phase: "failed", counts: { ...all, completed: 99, failed: 1 } }).plain).toBe(false);
  });

  it("counts no further", () => {
    expect(at({ ...ended, counts: all }, NOW + 7200)).toMatchObject({ time: "in 40 s", money: "$0.12 / $5.00" });
  });

  it("says that it had nothing to do, without a percentage", () => {
    const none = { total: 0, pending: 0, running: 0, completed: 0, failed: 0, not_run: 0, reused: 0 };
    const now = at({ ...ended, counts: none, tasks: { size: 1, cells: "" }, progress: "" });

    expect(now).toMatchObject({ percent: "", counts: "no tasks", plain: false, cells: [] });
    expect(now.note).toContain("--map gave no items");
  });

  it("says of tasks without an outcome that they were not run, and does not offer their tracebacks", () => {
    const group = { id: "not-run", kind: "not run" as const, type: "", line: null, message: "cancelled", count: 48, messages: 1, first: 52 };
    const now = at({
      ended: NOW,
      phase: "ended",
      end: "cancelled",
      state: "cancelled",
      counts: { total: 100, pending: 0, running: 0, completed: 52, failed: 0, not_run: 48, reused: 0 },
      failures: { groups: [group], more: 0, more_tasks: 0, unread: "" },
    });

    expect(now.counts).toBe("52 done · 48 not run · 0 failed");
    expect(now.failures[0]).toMatchObject({ number: "48 not run", opens: false });
  });
});

describe("money", () => {
  const money = frameOf().money;

  it("is said not to be known rather than to be nothing", () => {
    expect(at({ money: { ...money, priced: false, spent: 0, hourly: 0 } }).money).toBe("cost unknown");
  });

  it("is the job's after its end, and says what kept workers cost until they end", () => {
    const kept = { count: 2, hourly: 80_000, until: NOW + 300 };
    const over = { ended: NOW, phase: "finished", end: "finished", state: "finished", money: { ...money, job: 120_000, spent: 200_000, kept } } as const;
    const clock = new Date((NOW + 300) * 1000).toLocaleTimeString([], { timeStyle: "short" });

    expect(at(over).money).toBe("$0.12");
    expect(at({ ...over, phase: "ended", end: "budget" }).money).toBe("$0.20 / $5.00");
    expect(at(over, NOW + 299).kept).toBe(`2 workers kept, $0.08 an hour, at most until ${clock}`);
    expect(at(over, NOW + 300).kept).toBe("");
    expect(shown(frameOf(over), { from: "saved", seen: null, problem: "", ahead: 0 }, NOW + 300).kept).toBe("");
    expect(at({ ...over, money: { ...over.money, priced: false } }).kept).toBe(`2 workers kept, at most until ${clock}`);
  });

  it("of the whole session grows after the job's end until the kept workers end", () => {
    const kept = { count: 2, hourly: 360_000, until: NOW + 600 };
    const whole = (now: number, changes: Partial<typeof money>): string | undefined =>
      at({ ended: NOW, money: { ...money, job: 100_000, ...changes } }, now).details.find(({ label }) => label === "Whole session")?.text;

    expect([whole(NOW + 300, { kept }), whole(NOW + 6000, { kept }), whole(NOW + 6000, {})]).toEqual(["$0.15 / $5.00", "$0.18 / $5.00", "$0.12 / $5.00 so far"]);
    expect(whole(NOW, { hourly: 0 })).toBe("$0.12 / $5.00");
  });

  it("is nothing where workers are free; what Fargate would charge is a detail", () => {
    const free = { ...money, free: true, spent: 0, hourly: 0, budget: null, fargate: 4200, fargate_hourly: 0 };
    const now = at({ money: free });

    expect(now.money).toBe("no charge");
    expect(now.details).toContainEqual({ label: "On Fargate", text: "would be $0.0042", copies: false });
  });

  it("does not grow beyond the deadline", () => {
    expect(at({ deadline: NOW + 600 }, NOW + 6000).money).toBe("$0.18 / $5.00");
  });
});

describe("the cells of tasks", () => {
  it("are those of the strip", () => {
    const cells = cellsOf({ size: 1, cells: "c2frp" }, 5);

    expect(cells.map(({ done, failed, running, pending }) => [done, failed, running, pending].indexOf(1))).toEqual([0, 0, 1, 2, 3]);
  });

  it("are at most 10 000 for a million tasks, and lose none", () => {
    const cells = cellsOf({ size: 1, cells: "c999999f" }, 1_000_000);

    expect(cells).toHaveLength(10_000);
    expect(cells.reduce((sum, { done }) => sum + done, 0)).toBe(999_999);
    expect(cells.at(-1)).toMatchObject({ stop: 1_000_000, failed: 1 });
  });

  it("end with the last task, though their size does not divide", () => {
    expect(cellsOf({ size: 3, cells: "c2h" }, 7).map(({ start, stop }) => [start, stop])).toEqual([[0, 3], [3, 6], [6, 7]]);
  });
});
