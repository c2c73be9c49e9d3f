import { describe, expect, it } from "vitest";

import { extending, scaling, stopping } from "../src/questions.js";
import { frameOf } from "./frames.js";

const older = frameOf().money; // of a version that did not say what a worker costs
const money = { ...older, worker_hourly: 180_000 };
const paid = frameOf({ money });
const free = frameOf({ money: { ...money, free: true } });

describe("before something costs", () => {
  it("a larger fleet says what the added workers cost an hour", () => {
    expect(scaling(paid, 8)).toBe("Start 6 more, $1.08 more an hour?");
  });

  it("a fleet whose price is not known says so", () => {
    expect(scaling(frameOf({ money: { ...money, priced: false } }), 8)).toBe("Start 6 more, cost unknown?");
    expect(scaling(frameOf({ money: older }), 8)).toBe("Start 6 more, cost unknown?");
  });

  it("a later deadline says what it can cost, a larger budget how much", () => {
    expect(extending(paid, 5400, 0)).toBe("Allow 1 h 30 min longer, at most $0.54 more?");
    expect(extending(paid, 0, 7_250_000)).toBe("Allow $7.25 in all?");
    expect(extending(paid, 3600, 7_250_000)).toBe("Allow 1 h 00 min longer, at most $0.36 more; $7.25 in all?");
  });

  it("nothing is asked of what is free, or becomes less", () => {
    expect([scaling(free, 8), extending(free, 3600, 0), scaling(paid, 1), scaling(paid, 2)]).toEqual(["", "", "", ""]);
  });
});

describe("before something is left undone", () => {
  it("stopping the workers says how many tasks will not run", () => {
    expect(stopping(paid)).toBe("Leave 46 pending tasks undone?");
    expect(stopping(frameOf({ counts: { ...paid.counts, pending: 0, completed: 96 } }))).toBe("Stop all its workers?");
  });
});
