import { describe, expect, it } from "vitest";

import type { TimelineLane, TimelinePage } from "../src/frame.js";
import { bitsOf, described, lastBefore, summary, tableOf } from "../src/timeline.js";
import { NOW } from "./frames.js";

const LANE: TimelineLane = { worker: "w1", name: "worker 1", tasks: 2, failed: 1, busy: 30, running: null, since: null, bars: [], cells: "" };
const page = (...lanes: TimelineLane[]): TimelinePage => ({ start: NOW - 100, stop: NOW, bins: 10, lanes, more: 0, tasks: 2, left_out: 0 });

describe("a timeline of few tasks", () => {
  const lane = {
    ...LANE,
    bars: [{ task: 3, began: NOW - 120, wall: 30, failed: false }, { task: 4, began: NOW - 60, wall: 20, failed: true }],
    running: 7,
    since: NOW - 10,
  };
  const bits = bitsOf(lane, page(lane));

  it("has each task in its place, cut off at the job's start, and what runs until now", () => {
    expect(bits.map(({ task, from, to, failed, running }) => [task, from - NOW, to - NOW, failed, running])).toEqual([
      [3, -100, -90, false, false],
      [4, -60, -40, true, false],
      [7, -10, 0, false, true],
    ]);
  });

  it("says each in words", () => {
    expect(bits.map((bit) => described(lane, bit).replace(/from .*?(, |$)/, "from …$1"))).toEqual([
      "worker 1: task 3, 10 s from …",
      "worker 1: task 4, 20 s from …, failed",
      "worker 1: task 7, 10 s from …, running",
    ]);
  });

  it("finds the task at a time", () => {
    expect([-200, -95, -50, -1].map((seconds) => lastBefore(bits, NOW + seconds))).toEqual([-1, 0, 1, 2]);
  });

  it("counts what runs as busy in its table", () => {
    expect(tableOf(page(lane))).toEqual([["worker 1", "2", "1", "40 s", "40\u202f%"]]);
  });
});

describe("a timeline of many tasks", () => {
  it("is intervals of a share, and idle ones are left out", () => {
    const lane = { ...LANE, cells: "a4f2Ka3" };

    expect(bitsOf(lane, page(lane)).map(({ from, to, share, failed }) => [from - NOW, to - NOW, share, failed])).toEqual([
      [-60, -40, 0.5, false],
      [-40, -30, 1, true],
    ]);
  });

  it("ends with the page, whatever its cells say", () => {
    const lane = { ...LANE, cells: "k999999999" };

    expect(bitsOf(lane, page(lane))).toMatchObject([{ from: NOW - 100, to: NOW }]);
  });

  it("says what it leaves out", () => {
    expect(summary({ ...page(LANE), left_out: 12_000, more: 3 })).toBe("2 tasks in 1 min 40 s; 12\u202f000 more are not shown: reused, or too many to read; and 3 lanes more");
  });
});
